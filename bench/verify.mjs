// Measures decisions of the core in V8: `node verify.mjs MODULE CASES`, the cases as JSON.
import { readFileSync } from "node:fs";

const [, , modulePath, casesPath] = process.argv;
const { cases } = JSON.parse(readFileSync(casesPath, "utf8"));
const { instance } = await WebAssembly.instantiate(readFileSync(modulePath), {});
const { allocate, cached, first, memory, prepare } = instance.exports;

const ROUNDS = 15;
// How long one round should take, in milliseconds.
const ROUND = 40;

/** Median microseconds of one call, over rounds of about the same length. */
function measure(name, what, run) {
  const timed = (times) => {
    const start = performance.now();
    const forwarded = run(times);
    const spent = performance.now() - start;
    if (forwarded !== times) throw new Error(`${name}, ${what}: ${forwarded} of ${times} forwarded`);
    return spent;
  };
  // Also gives V8 the time to compile what is hot.
  let times = 1;
  while (timed(times) < ROUND) times *= 2;
  const rounds = Array.from({ length: ROUNDS }, () => (timed(times) / times) * 1000);
  return rounds.sort((one, other) => one - other)[Math.floor(ROUNDS / 2)];
}

const results = cases.map(({ name, ...input }) => {
  const bytes = new TextEncoder().encode(JSON.stringify(input));
  const at = allocate(bytes.length);
  new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
  if (prepare(at, bytes.length) !== 1) throw new Error(`${name}: not a case`);
  return { name, first: measure(name, "first", first), cached: measure(name, "cached", cached) };
});

// The first case is the one that the others are compared with.
const reference = results[0].first;
console.log(`Decisions in Wasm (V8 ${process.versions.v8}), medians of ${ROUNDS} rounds; ${results[0].name} is 100%`);
console.log(`${"".padEnd(36)} ${"first us".padStart(10)} ${"".padStart(7)} ${"cached us".padStart(10)} ${"".padStart(7)}`);
const percent = (value) => `${((100 * value) / reference).toFixed(1)}%`.padStart(7);
for (const { name, first, cached } of results) {
  console.log(
    `${name.padEnd(36)} ${first.toFixed(1).padStart(10)} ${percent(first)} ${cached.toFixed(2).padStart(10)} ${percent(cached)}`,
  );
}
