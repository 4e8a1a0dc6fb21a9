//! Debian packages: installed where that is allowed, else unpacked into the cache and used from there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cache;
use crate::exec::{self, LONG, Outcome, SHORT, at};

/// Has the packages on this machine and returns the root of their file tree.
///
/// That is `/` when they are or can be installed, else a folder of the cache, where they were unpacked with
/// every package they need that is not installed. `trim` may remove what is not needed of them.
pub(crate) fn packages(
    cache: &Cache,
    names: &[&str],
    trim: impl Fn(&Path) -> Outcome<()>,
) -> Outcome<PathBuf> {
    if names.iter().all(|name| is_installed(name)) {
        return Ok(PathBuf::from("/"));
    }
    if exec::on_path("apt-get").is_none() || exec::on_path("dpkg-deb").is_none() {
        return Err(format!(
            "the Debian packages {} are needed, and this machine has no apt",
            names.join(" ")
        ));
    }
    if cache.install {
        match install(names) {
            Ok(()) => return Ok(PathBuf::from("/")),
            // For example, an older compiler of the distribution that cannot stay beside this one.
            Err(why) => exec::say(&format!(
                "  {why}\n  unpacking the packages instead of installing them"
            )),
        }
    }
    unpack(cache, names, trim)
}

/// Installs packages on this machine.
pub(crate) fn install(names: &[&str]) -> Outcome<()> {
    if exec::on_path("apt-get").is_none() {
        return Err(format!(
            "the Debian packages {} are needed, and this machine has no apt-get",
            names.join(" ")
        ));
    }
    exec::say(&format!(
        "  installing the Debian packages {}",
        names.join(" ")
    ));
    let attempt = || {
        let mut apt = as_root("apt-get")?;
        // Nothing that a person installed may go for the sake of a build.
        apt.args([
            "install",
            "-y",
            "--no-install-recommends",
            "--no-remove",
            "-o",
            "DPkg::Lock::Timeout=300",
        ]);
        exec::capture(apt.args(names), LONG)
    };
    if attempt().is_ok() {
        return Ok(());
    }
    // The lists of a fresh machine are empty, and old lists name files that are gone.
    exec::capture(
        as_root("apt-get")?.args(["update", "-o", "DPkg::Lock::Timeout=300"]),
        LONG,
    )?;
    attempt().map(|_| ())
}

fn is_installed(name: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", name]);
    exec::capture(&mut query, SHORT).is_ok_and(|status| status == "installed")
}

fn as_root(program: &str) -> Outcome<Command> {
    let mut command = if exec::capture(Command::new("id").arg("-u"), SHORT)?.trim() == "0" {
        Command::new(program)
    } else if exec::on_path("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        return Err(format!("`{program}` needs root, and there is no sudo"));
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

pub(crate) fn unpack(
    cache: &Cache,
    names: &[&str],
    trim: impl Fn(&Path) -> Outcome<()>,
) -> Outcome<PathBuf> {
    let family = format!("debian/{}", names.join("+"));
    // The machine's lists may be empty, or so old that they name files that are gone. Then lists of our own
    // serve, first as an earlier run left them, which is enough when the packages are unpacked already.
    let own = Apt::with_own_lists(cache)?;
    let ways: [(&Apt, bool); 3] = [(&Apt::default(), false), (&own, false), (&own, true)];
    let mut last = String::new();
    for (apt, update) in ways {
        let attempt = (|| {
            if update {
                exec::say("  fetching the package lists");
                let mut command = apt.command();
                exec::capture(
                    command.args(["update", "-o", "DPkg::Lock::Timeout=300"]),
                    LONG,
                )?;
            }
            unpack_plan(cache, &family, apt, &simulate(apt, names)?, &trim)
        })();
        match attempt {
            Ok(folder) => return Ok(folder),
            Err(why) => last = why,
        }
    }
    // Without a network, what was unpacked earlier is still good.
    earlier(&cache.root().join(&family)).ok_or(last)
}

fn unpack_plan(
    cache: &Cache,
    family: &str,
    apt: &Apt,
    plan: &[(String, String)],
    trim: impl Fn(&Path) -> Outcome<()>,
) -> Outcome<PathBuf> {
    let text: String = plan
        .iter()
        .map(|(name, version)| format!("{name} {version}\n"))
        .collect();
    cache.entry(
        &format!("{family}/{}", exec::short_hash(&text)?),
        |folder| {
            exec::say(&format!(
                "  fetching and unpacking {} Debian packages",
                plan.len()
            ));
            let files = cache.temporary()?;
            let mut download = apt.command();
            download.arg("download").args(
                plan.iter()
                    .map(|(name, version)| format!("{name}={version}")),
            );
            exec::capture(download.current_dir(&files.0), LONG)?;
            for file in at(fs::read_dir(&files.0), "read", &files.0)?.flatten() {
                exec::capture(
                    Command::new("dpkg-deb")
                        .arg("-x")
                        .arg(file.path())
                        .arg(folder),
                    LONG,
                )?;
                // The file is not needed any more, and these are large.
                let _ = fs::remove_file(file.path());
            }
            trim(folder)
        },
    )
}

/// Some unpacking of the same packages from an earlier run.
fn earlier(family: &Path) -> Option<PathBuf> {
    fs::read_dir(family)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|folder| folder.is_dir())
}

/// How apt-get is called: with the machine's package lists, or with our own.
#[derive(Default)]
struct Apt {
    options: Vec<OsString>,
}

impl Apt {
    /// Package lists of our own need neither root nor a change to the machine.
    fn with_own_lists(cache: &Cache) -> Outcome<Self> {
        let folder = cache.root().join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            at(
                fs::create_dir_all(folder.join(part)),
                "make the folder",
                &folder,
            )?;
        }
        let mut options = Vec::new();
        for (name, part) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            let mut option = OsString::from(format!("{name}="));
            option.push(folder.join(part));
            options.extend([OsString::from("-o"), option]);
        }
        Ok(Self { options })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.args(&self.options);
        command
    }
}

fn simulate(apt: &Apt, names: &[&str]) -> Outcome<Vec<(String, String)>> {
    let mut command = apt.command();
    command
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(names)
        .env("LC_ALL", "C");
    let text = exec::capture(&mut command, LONG)?;
    let plan: Vec<_> = text.lines().filter_map(planned).collect();
    if plan.is_empty() {
        Err("apt-get plans to install nothing".to_owned())
    } else {
        Ok(plan)
    }
}

/// Reads `Inst name [old] (version Debian:12/stable [amd64])`.
fn planned(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("Inst ")?;
    let name = rest.split_whitespace().next()?;
    let version = rest.split_once('(')?.1.split_whitespace().next()?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_plan_is_read() {
        let new = planned("Inst lld-19 (1:19.1.7-3~deb12u1 Debian:12.15/oldstable [amd64])");
        assert_eq!(
            new,
            Some(("lld-19".to_owned(), "1:19.1.7-3~deb12u1".to_owned()))
        );
        let upgrade = planned("Inst libc6 [2.36-9] (2.36-10 Debian:12/stable [amd64]) []");
        assert_eq!(upgrade, Some(("libc6".to_owned(), "2.36-10".to_owned())));
        assert_eq!(planned("Conf lld-19 (1:19.1.7-3)"), None);
    }
}
