//! Archives whose bytes depend on their content alone: tar, and gzip without compression.

/// A tar archive (POSIX.1-1988, ustar) of files, given by name and content, in this order.
///
/// The folders they are in stand before them. Nobody owns anything, and nothing has a time. Names are
/// below 100 bytes, which is all that the plain form has room for.
pub(super) fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut folders: Vec<&str> = Vec::new();
    for (name, content) in files {
        for (end, _) in name.match_indices('/') {
            let folder = &name[..=end];
            if !folders.contains(&folder) {
                folders.push(folder);
                archive.extend(header(folder, 0o755, 0, b'5'));
            }
        }
        archive.extend(header(name, 0o644, content.len(), b'0'));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks are the end.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

/// Bytes as a gzip file (RFC 1952) of stored blocks (RFC 1951 section 3.2.4).
///
/// Not compressed: what a compressor makes of the same bytes changes with its version, and some 400 KB
/// more in a registry cost less than a release that cannot be made again.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Deflate, no flags, no time, no word on effort, and no word on the system.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(STORED).peekable();
    if blocks.peek().is_none() {
        file.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        // A block has at most 65,535 bytes.
        let length = block.len() as u16;
        file.push(u8::from(blocks.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    file.extend(crc32(bytes).to_le_bytes());
    // By the format the length modulo 2^32.
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

/// What tar counts in, in bytes.
const BLOCK: usize = 512;

/// The longest stored block, in bytes.
const STORED: usize = 0xffff;

fn header(name: &str, mode: u32, size: usize, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    // Owner, group and time are 0.
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    // The sum is taken with spaces in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The checksum of gzip (RFC 1952 section 8).
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// What a program of the machine writes when it reads these bytes.
    fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{program}");
        output.stdout
    }

    #[test]
    fn other_programs_read_what_is_written() {
        let long: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        for content in [&[][..], b"x", &long[..STORED], &long] {
            assert_eq!(piped("gzip", &["-dc"], &gzip(content)), content);
        }
        let files = [
            ("a/b/one".to_owned(), b"1".to_vec()),
            ("a/b/two".to_owned(), long.clone()),
        ];
        let archive = tar(&files);
        assert_eq!(
            piped("tar", &["-tf", "-"], &archive),
            b"a/\na/b/\na/b/one\na/b/two\n"
        );
        assert_eq!(piped("tar", &["-xOf", "-", "a/b/two"], &archive), long);
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
