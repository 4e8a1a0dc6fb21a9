//! The cache of fetched tools, outside the repository and outside `target/`.

pub(crate) mod cargo_deny;
pub(crate) mod debian;
pub(crate) mod envoy;
pub(crate) mod nginx;
pub(crate) mod node;
pub(crate) mod pkits;
pub(crate) mod python;
pub(crate) mod valgrind;
pub(crate) mod worker_build;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::exec::{self, Outcome, at};

/// Temporary folders that are older belong to a run that was interrupted.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder that holds the tools, one entry for each name and version.
pub(crate) struct Cache {
    root: PathBuf,
    /// Whether Debian packages may be installed on this machine.
    pub(crate) install: bool,
}

impl Cache {
    /// Opens the cache, which is made when it is not there.
    pub(crate) fn open(install: bool) -> Outcome<Self> {
        let root = place(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
        let root = at(std::path::absolute(&root), "find", &root)?;
        let temporary = root.join("tmp");
        at(
            fs::create_dir_all(&temporary),
            "make the folder",
            &temporary,
        )?;
        sweep(&temporary);
        Ok(Self { root, install })
    }

    /// The folder of the cache.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The entry with this key, which `fill` makes when it is not there.
    ///
    /// It is filled in a temporary folder and renamed when it is whole, so that an interrupted run leaves
    /// nothing half-made. A lock, which the system drops with the process, keeps two runs from doing the
    /// same work.
    pub(crate) fn entry(
        &self,
        key: &str,
        fill: impl FnOnce(&Path) -> Outcome<()>,
    ) -> Outcome<PathBuf> {
        let folder = self.root.join(key);
        if folder.is_dir() {
            return Ok(folder);
        }
        let _lock = self.lock(key)?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let temporary = self.temporary()?;
        fill(&temporary.0)?;
        if let Some(parent) = folder.parent() {
            at(fs::create_dir_all(parent), "make the folder", parent)?;
        }
        match fs::rename(&temporary.0, &folder) {
            Err(_) if folder.is_dir() => Ok(folder),
            outcome => at(outcome, "make the cache entry", &folder).map(|()| folder),
        }
    }

    /// A new empty folder on the same file system as the entries; it is removed when it is dropped.
    pub(crate) fn temporary(&self) -> Outcome<Temporary> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = self.root.join("tmp").join(name);
        // A process of the same number may have been here before.
        let _ = fs::remove_dir_all(&folder);
        at(fs::create_dir_all(&folder), "make the folder", &folder)?;
        Ok(Temporary(folder))
    }

    /// Waits for the lock of a key.
    fn lock(&self, key: &str) -> Outcome<File> {
        let folder = self.root.join("locks");
        at(fs::create_dir_all(&folder), "make the folder", &folder)?;
        let path = folder.join(key.replace('/', "_"));
        let file = at(File::create(&path), "open", &path)?;
        if file.try_lock().is_err() {
            exec::say(&format!("  waiting for another run that fetches {key}"));
            at(file.lock(), "lock", &path)?;
        }
        Ok(file)
    }
}

/// A folder that is removed when its owner is done with it.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Chooses the cache's folder from the environment.
fn place(variable: impl Fn(&str) -> Option<OsString>) -> Outcome<PathBuf> {
    if let Some(folder) = variable("AUTH_EDGE_CACHE") {
        return Ok(PathBuf::from(folder));
    }
    // The XDG specification has relative paths ignored.
    if let Some(folder) = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
    {
        return Ok(folder.join("auth-edge"));
    }
    match variable("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".cache/auth-edge")),
        None => Err("there is no place for the tools: set AUTH_EDGE_CACHE to a folder".to_owned()),
    }
}

/// Removes what interrupted runs left behind.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str) -> (Temporary, Cache) {
        let root =
            std::env::temp_dir().join(format!("auth-edge-xtask-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        (
            Temporary(root.clone()),
            Cache {
                root,
                install: false,
            },
        )
    }

    #[test]
    fn the_environment_says_where_the_cache_is() {
        let with = |set: &'static [(&str, &str)]| {
            place(|name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(
            with(&[("AUTH_EDGE_CACHE", "/a"), ("HOME", "/h")]).unwrap(),
            Path::new("/a")
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).unwrap(),
            Path::new("/x/auth-edge")
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]).unwrap(),
            Path::new("/h/.cache/auth-edge")
        );
        assert!(with(&[]).unwrap_err().contains("AUTH_EDGE_CACHE"));
    }

    #[test]
    fn an_entry_is_filled_once_and_a_failure_leaves_nothing() {
        let (_guard, cache) = cache("entry");
        assert!(cache.entry("tool/1", |_| Err("no".to_owned())).is_err());
        assert!(!cache.root.join("tool/1").exists());
        let write = |folder: &Path| at(fs::write(folder.join("file"), "x"), "write", folder);
        let folder = cache.entry("tool/1", write).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "x");
        assert_eq!(
            cache.entry("tool/1", |_| Err("again".to_owned())).unwrap(),
            folder
        );
        assert_eq!(fs::read_dir(cache.root.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn two_runs_at_once_fill_an_entry_once() {
        let (_guard, cache) = cache("race");
        let fills = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cache.entry("tool/2", |_| {
                        fills.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(50));
                        Ok(())
                    })
                });
            }
        });
        assert_eq!(fills.load(Ordering::Relaxed), 1);
    }
}
