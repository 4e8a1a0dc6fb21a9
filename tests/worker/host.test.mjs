// What `worker/src/host.js` tells the core of a request, without a runtime.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const folder = path.resolve(process.env.AUTH_EDGE_WORKER ?? '../../worker/build');
const { gather } = await import(pathToFileURL(path.join(folder, '../src/host.js')));

// The order of the members is that of `worker/src/gather/cf.rs`.
function told(cf, headers = {}) {
  const request = { method: 'GET', url: 'https://login.example.test/a/../b?c=%00', headers: new Headers(headers), cf };
  const [time, method, url, members, ...fields] = new TextDecoder().decode(gather(request)).split('\0');
  return { time, method, url, members: members.split('\x01'), fields };
}

const presented = (value) => told({ tlsClientAuth: { certPresented: value } }).members[3];

test('time, method, URL and fields are told as they are', () => {
  const { time, method, url, fields } = told({}, { host: 'login.example.test', accept: 'a, b' });
  assert.match(time, /^[0-9]{13}$/);
  assert.deepEqual([method, url], ['GET', 'https://login.example.test/a/../b?c=%00']);
  assert.deepEqual(fields, ['accept', 'a, b', 'host', 'login.example.test']);
});

test('a member is a text, a truth value, absent, or unreadable', () => {
  assert.deepEqual(['', '1', '=t'].map(presented), ['=', '=1', '==t']);
  assert.deepEqual([true, false].map(presented), ['t', 'f']);
  assert.deepEqual([null, undefined].map(presented), ['', '']);
  assert.deepEqual([0, 1, {}, [], ['1'], { toString: () => '1' }].map(presented), Array(6).fill('!'));
});

test('a text cannot bring members of its own', () => {
  assert.deepEqual(['1\0', '\x01=1', '1\x01'].map(presented), ['!', '!', '!']);
});

test('as many members are told whatever is there', () => {
  for (const cf of [undefined, null, {}, { tlsClientAuth: null }, { tlsClientAuth: 'text' }, { tlsClientAuth: 7 }]) {
    assert.deepEqual(told(cf).members, Array(10).fill(''));
  }
});
