//! The committed inputs: `corpus/` and `regressions/`, a folder for each target, and the dictionaries.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An input and where it is from.
#[derive(Clone, Debug)]
pub struct Input {
    /// The file, as seen from the package.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The folder of this package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every committed input of the target, in the order of their names.
///
/// # Errors
/// When the files cannot be read.
pub fn inputs(target: &str) -> io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for folder in ["corpus", "regressions"] {
        let folder = Path::new(folder).join(target);
        for file in files(&root().join(&folder))? {
            let name = folder.join(file.file_name().unwrap_or_default());
            inputs.push(Input {
                name: name.display().to_string(),
                bytes: fs::read(&file)?,
            });
        }
    }
    Ok(inputs)
}

/// The files of a folder; a folder that is not there has none.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    let mut files: Vec<PathBuf> = entries?.iter().map(fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

/// The words of the target's dictionary, in the form that libFuzzer reads: `"text"` a line, with
/// `\xNN`, `\\` and `\"`; `#` begins a comment.
///
/// # Errors
/// When there is a dictionary and it cannot be read.
pub fn tokens(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let file = root().join("dictionaries").join(format!("{target}.dict"));
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file)?;
    Ok(text.lines().filter_map(token).collect())
}

fn token(line: &str) -> Option<Vec<u8>> {
    let quoted = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut token = Vec::new();
    let mut rest = quoted.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', digits @ ..]) => {
                let (digits, after) = digits.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok()?;
                token.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                token.push(*escaped);
                rest = after;
            }
            (byte, _) => token.push(*byte),
        }
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets;

    #[test]
    fn words_are_read_as_libfuzzer_reads_them() {
        assert_eq!(token(r#""a\x0ab\\\"""#), Some(b"a\nb\\\"".to_vec()));
        assert_eq!(token("# comment"), None);
        assert_eq!(token(""), None);
    }

    #[test]
    fn every_target_has_inputs_and_no_folder_is_for_nobody() {
        for target in targets::ALL {
            assert!(!inputs(target.name).unwrap().is_empty(), "{}", target.name);
        }
        for folder in ["corpus", "regressions"] {
            for entry in files(&root().join(folder)).unwrap() {
                let name = entry.file_name().unwrap().to_str().unwrap();
                assert!(
                    name.starts_with('.') || targets::find(name).is_some(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn no_input_holds_a_private_key_or_a_place_on_a_machine() {
        for target in targets::ALL {
            for input in inputs(target.name).unwrap() {
                let text = String::from_utf8_lossy(&input.bytes);
                for word in ["PRIVATE KEY", "/home/", "/root/", "/Users/", "/tmp/"] {
                    assert!(!text.contains(word), "{} holds {word}", input.name);
                }
            }
        }
    }
}
