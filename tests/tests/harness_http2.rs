//! The HTTP/2 client judged by a scripted server, without Envoy.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use auth_edge_tests::hpack;
use auth_edge_tests::http2::frame::{Frame, flag, kind};
use auth_edge_tests::http2::{self, PREFACE};
use auth_edge_tests::wire::{WireError, WireRequest};

const HOST: &str = "login.example.com";

/// A server without TLS that takes one connection and does what `script` says after the greeting.
fn scripted(
    script: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (http2::Client<TcpStream>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut preface = vec![0; PREFACE.len()];
        socket.read_exact(&mut preface).unwrap();
        assert_eq!(preface, PREFACE);
        assert_eq!(Frame::read(&mut socket).unwrap().kind, kind::SETTINGS);
        assert_eq!(Frame::read(&mut socket).unwrap().kind, kind::WINDOW_UPDATE);
        Frame::new(kind::SETTINGS, 0, 0, [])
            .write(&mut socket)
            .unwrap();
        script(&mut socket);
    });
    (http2::Client::new(stream).unwrap(), server)
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        hpack::encode_field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

#[test]
fn http2_sends_any_bytes_and_survives_interruptions() {
    let (mut client, server) = scripted(|socket| {
        let head = Frame::read(socket).unwrap();
        assert_eq!((head.kind, head.flags), (kind::HEADERS, 0));
        let more = Frame::read(socket).unwrap();
        assert_eq!(
            (more.kind, more.flags),
            (kind::CONTINUATION, flag::END_HEADERS)
        );
        let fields = [head.payload, more.payload].concat();
        let fields = hpack::Decoder::default().decode(&fields).unwrap();
        assert_eq!(fields[3], (b":path".to_vec(), b"/\xff \x00".to_vec()));
        assert_eq!(fields[4], (b"x-large".to_vec(), vec![b'y'; 20_000]));
        let data = Frame::read(socket).unwrap();
        assert_eq!(
            (data.kind, data.flags, data.payload),
            (kind::DATA, 0, b"body".to_vec())
        );
        let trailers = Frame::read(socket).unwrap();
        assert_eq!(trailers.flags, flag::END_HEADERS | flag::END_STREAM);

        Frame::new(kind::PING, 0, 0, *b"12345678")
            .write(socket)
            .unwrap();
        let early = block(&[(":status", "103")]);
        Frame::new(kind::HEADERS, flag::END_HEADERS, 1, early)
            .write(socket)
            .unwrap();
        let mut head = block(&[(":status", "200")]);
        // `www.example.com` in Huffman coding, from RFC 7541 appendix C.4.1, for `location`.
        head.extend(b"\x0f\x1f\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        let (first, second) = head.split_at(5);
        Frame::new(kind::HEADERS, 0, 1, first)
            .write(socket)
            .unwrap();
        Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, second)
            .write(socket)
            .unwrap();
        let padded = [&[3], &b"answer"[..], &[0; 3]].concat();
        Frame::new(kind::DATA, flag::PADDED, 1, padded)
            .write(socket)
            .unwrap();
        let last = flag::END_HEADERS | flag::END_STREAM;
        Frame::new(kind::HEADERS, last, 1, block(&[("x-end", "1")]))
            .write(socket)
            .unwrap();
        let answers: Vec<(u8, u8)> = (0..4)
            .map(|_| {
                Frame::read(socket)
                    .map(|frame| (frame.kind, frame.flags))
                    .unwrap()
            })
            .collect();
        let updates = (kind::WINDOW_UPDATE, 0);
        assert_eq!(
            answers[..2],
            [(kind::SETTINGS, flag::ACK), (kind::PING, flag::ACK)]
        );
        assert_eq!(answers[2..], [updates, updates]);
    });
    let request = WireRequest::new("POST", HOST, b"/\xff \x00")
        .header("X-Large", vec![b'y'; 20_000])
        .body("body")
        .trailer("X-Trailer", "1");
    let response = client.send(&request).unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"answer"[..]));
    assert_eq!(response.values("location"), [b"www.example.com"]);
    assert_eq!(response.trailers, [(b"x-end".to_vec(), b"1".to_vec())]);
    server.join().unwrap();
}

#[test]
fn http2_waits_for_room() {
    let (mut client, server) = scripted(|socket| {
        let mut received = 0;
        loop {
            let frame = Frame::read(socket).unwrap();
            received += if frame.kind == kind::DATA {
                frame.payload.len()
            } else {
                0
            };
            if received == 65_535 && frame.kind == kind::DATA {
                for stream in [0, 1] {
                    let room = 100_000_u32.to_be_bytes();
                    Frame::new(kind::WINDOW_UPDATE, 0, stream, room)
                        .write(socket)
                        .unwrap();
                }
            }
            if frame.kind == kind::DATA && frame.has(flag::END_STREAM) {
                break;
            }
        }
        assert_eq!(received, 100_000);
        let last = flag::END_HEADERS | flag::END_STREAM;
        Frame::new(kind::HEADERS, last, 1, block(&[(":status", "204")]))
            .write(socket)
            .unwrap();
    });
    let request = WireRequest::new("POST", HOST, "/").body(vec![0; 100_000]);
    assert_eq!(client.send(&request).unwrap().status, 204);
    server.join().unwrap();
}

#[test]
fn http2_tells_resets_from_the_end_of_the_connection() {
    let (mut client, server) = scripted(|socket| {
        Frame::read(socket).unwrap();
        Frame::new(kind::RST_STREAM, 0, 1, 7_u32.to_be_bytes())
            .write(socket)
            .unwrap();
        // The acknowledgement of the settings comes first, then the second request.
        Frame::read(socket).unwrap();
        assert_eq!(Frame::read(socket).unwrap().stream, 3);
        let farewell = [1_u32.to_be_bytes(), 11_u32.to_be_bytes()].concat();
        Frame::new(kind::GOAWAY, 0, 0, farewell)
            .write(socket)
            .unwrap();
    });
    let request = WireRequest::new("GET", HOST, "/");
    assert!(matches!(client.send(&request), Err(WireError::Reset(7))));
    assert!(matches!(client.send(&request), Err(WireError::GoAway(11))));
    assert!(matches!(client.send(&request), Err(WireError::GoAway(11))));
    server.join().unwrap();
}
