//! What is expected of a guest, as a script for the guest's own shell.
//!
//! The script prints a line `MARK NUMBER STATUS` for each check, then lines that begin with `| `
//! with what went wrong, and at its end `MARK end`.

use super::spec::{CommandSpec, FileSpec, Package, Port, Protocol, Spec, Unit};

/// Begins the lines that count. It appears in the script in two halves: a terminal that echoes
/// the script does not show it.
const MARK: &str = "goldsmith-check";

/// How long the guest may take to finish its start, in seconds.
const SETTLE: u32 = 240;

/// One thing that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about: `unit`, `file`.
    pub class: &'static str,
    /// Which one, for people.
    pub name: String,
    /// Shell commands; what they print says what is wrong.
    body: String,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The guest's status: 0 when all is as expected, -1 when it never came to it.
    pub status: i32,
    /// What it printed.
    pub text: String,
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    quoted.push_str(&text.replace('\'', "'\\''"));
    quoted.push('\'');
    quoted
}

impl Spec {
    /// All checks, in the order in which they are made.
    pub fn checks(&self) -> Vec<Check> {
        let system = self.system.iter().map(|state| Check {
            class: "system",
            name: state.clone(),
            body: system(state),
        });
        let argument = |word: &String| Check {
            class: "kernel-argument",
            name: word.clone(),
            body: format!(
                "tr ' ' '\\n' < /proc/cmdline | grep -qxF -- {} || {{ cat /proc/cmdline; exit 1; }}",
                quote(word)
            ),
        };
        system
            .chain(self.kernel_argument.iter().map(argument))
            .chain(self.unit.iter().map(unit))
            .chain(self.port.iter().map(port))
            .chain(self.package.iter().map(package))
            .chain(self.file.iter().map(file))
            .chain(self.command.iter().map(command))
            .collect()
    }
}

fn system(state: &str) -> String {
    format!(
        "now=$(systemctl is-system-running)\n[ \"$now\" = {} ] || {{ echo \"the system is $now\"; systemctl --failed --plain --no-legend; exit 1; }}",
        quote(state)
    )
}

fn unit(unit: &Unit) -> Check {
    let name = quote(&unit.name);
    let mut body = String::new();
    let asked = [("is-active", Some(&unit.state)), ("is-enabled", unit.enabled.as_ref())];
    for (question, wanted) in asked {
        if let Some(wanted) = wanted {
            let wanted = quote(wanted);
            body.push_str(&format!(
                "now=$(systemctl {question} {name})\n[ \"$now\" = {wanted} ] || {{ echo \"{question}: $now\"; systemctl status --no-pager --lines 5 {name}; exit 1; }}\n"
            ));
        }
    }
    Check { class: "unit", name: unit.name.clone(), body }
}

fn port(port: &Port) -> Check {
    let (protocol, state) = match port.protocol {
        Protocol::Tcp => ("tcp", "0A"),
        Protocol::Udp => ("udp", "07"),
    };
    let body = format!(
        "cat /proc/net/{protocol} /proc/net/{protocol}6 2> /dev/null | awk '$4 == \"{state}\" && $2 ~ /:{:04X}$/ {{ found = 1 }} END {{ exit !found }}' || {{ echo nobody listens; exit 1; }}",
        port.number
    );
    Check { class: "port", name: format!("{protocol} {}", port.number), body }
}

fn package(package: &Package) -> Check {
    let name = quote(&package.name);
    // A status of dpkg and a version, or nothing.
    let mut body = format!(
        "if command -v dpkg-query > /dev/null; then\n    found=$(dpkg-query -W -f '${{db:Status-Abbrev}}${{Version}}' {name} 2> /dev/null)\nelse\n    found=$(rpm -q --qf 'ii %{{VERSION}}-%{{RELEASE}}' {name}) || found=\nfi\n"
    );
    body.push_str(&if package.absent {
        "case $found in (ii*) echo \"it is there: $found\"; exit 1 ;; esac".to_owned()
    } else {
        let version = quote(package.version.as_deref().unwrap_or_default());
        format!(
            "case $found in ('ii '{version}*) ;; (*) echo \"found: ${{found:-nothing}}\"; exit 1 ;; esac"
        )
    });
    Check { class: "package", name: package.name.clone(), body }
}

fn file(file: &FileSpec) -> Check {
    let mut body = format!("path={}\n", quote(&file.path));
    if file.absent {
        body.push_str("if [ -e \"$path\" ] || [ -L \"$path\" ]; then ls -ld \"$path\"; exit 1; fi");
        return Check { class: "file", name: format!("no {}", file.path), body };
    }
    body.push_str("[ -e \"$path\" ] || [ -L \"$path\" ] || { echo it is missing; exit 1; }\n");
    let mode = file.mode.as_deref().map(|mode| mode.trim_start_matches('0').to_owned());
    let mode = mode.map(|mode| if mode.is_empty() { "0".to_owned() } else { mode });
    for (format, wanted) in [("%a", mode.as_ref()), ("%U:%G", file.owner.as_ref())] {
        if let Some(wanted) = wanted {
            let wanted = quote(wanted);
            body.push_str(&format!(
                "[ \"$(stat -c {format} \"$path\")\" = {wanted} ] || {{ ls -ld \"$path\"; exit 1; }}\n"
            ));
        }
    }
    if let Some(text) = &file.contains {
        let text = quote(text);
        body.push_str(&format!(
            "grep -qF -- {text} \"$path\" || {{ echo it holds:; head -c 1000 \"$path\"; exit 1; }}\n"
        ));
    }
    Check { class: "file", name: file.path.clone(), body }
}

fn command(command: &CommandSpec) -> Check {
    let mut body = format!(
        "said=$(sh -c {}); status=$?\n[ \"$status\" -eq {status} ] || {{ echo \"status $status, not {status}\"; echo \"$said\"; exit 1; }}\n",
        quote(&command.run),
        status = command.status
    );
    if let Some(text) = &command.stdout {
        let text = quote(text);
        body.push_str(&format!(
            "case $said in (*{text}*) ;; (*) echo it says:; echo \"$said\"; exit 1 ;; esac\n"
        ));
    }
    let name = command.name.clone().unwrap_or_else(|| command.run.trim().to_owned());
    Check { class: "command", name, body }
}

/// The script that makes all checks; it waits until systemd, where there is one, has started all
/// there is to start.
pub fn script(checks: &[Check]) -> String {
    let (first, second) = MARK.split_at(9);
    let mut text = format!(
        "m={first}\nm=$m{second}\nn=0\nwhile [ \"$n\" -lt {SETTLE} ]; do\n    case $(systemctl is-system-running 2> /dev/null) in (initializing | starting) ;; (*) break ;; esac\n    n=$((n + 2)); sleep 2\ndone\n"
    );
    for (number, check) in checks.iter().enumerate() {
        text.push_str(&format!(
            "said=$( (\n{}\n) 2>&1 < /dev/null); echo \"$m {number} $?\"\n[ -z \"$said\" ] || printf '%s\\n' \"$said\" | head -n 40 | sed 's/^/| /'\n",
            check.body
        ));
    }
    text + "echo \"$m end\"\n"
}

/// Whether the script has come to its end in what a guest printed.
pub fn is_complete(printed: &str) -> bool {
    printed.lines().any(|line| line.trim_end() == format!("{MARK} end"))
}

/// Reads what the script printed, whatever else is between its lines; an answer for each check.
pub fn answers(printed: &str, count: usize) -> Vec<Answer> {
    let none = Answer { status: -1, text: "the guest did not come to it".to_owned() };
    let (mut answers, mut current) = (vec![none; count], None);
    for line in printed.lines().map(str::trim_end) {
        if let Some(rest) = line.strip_prefix(MARK) {
            let mut words = rest.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<usize>().ok());
            let status = words.next().and_then(|word| word.parse().ok());
            current = number.filter(|number| *number < count);
            if let (Some(number), Some(status)) = (current, status) {
                answers[number] = Answer { status, text: String::new() };
            }
        } else if let (Some(text), Some(number)) = (line.strip_prefix("| "), current) {
            answers[number].text.push_str(text);
            answers[number].text.push('\n');
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_answers_every_check() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it's here");
        fs_err::write(&path, "one\ntwo 'words'\n").unwrap();
        let there = |mode: &str, contains: &str| FileSpec {
            path: path.display().to_string(),
            absent: false,
            mode: Some(mode.to_owned()),
            owner: None,
            contains: Some(contains.to_owned()),
        };
        let says = |run: &str, status, stdout: Option<&str>| CommandSpec {
            run: run.to_owned(),
            name: None,
            status,
            stdout: stdout.map(str::to_owned),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let gone = FileSpec { absent: true, mode: None, contains: None, ..there("0", "") };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs_err::set_permissions(&path, mode).unwrap();
        let spec = Spec {
            port: vec![Port { number, protocol: Protocol::Tcp }],
            file: vec![there("0644", "two 'words'"), there("0600", "one"), gone],
            command: vec![
                says("echo a; exit 3", 3, Some("a")),
                says("printf 'b\\nc*\\n'", 0, Some("c*")),
                says("echo \"it's\"", 0, Some("its")),
                says("echo goldsmith-check 0 1", 0, None),
            ],
            kernel_argument: vec!["no-such-argument".to_owned()],
            ..Spec::default()
        };
        let checks = spec.checks();
        let output = Command::new("sh").arg("-c").arg(script(&checks)).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(is_complete(&printed), "{printed}");
        let statuses: Vec<_> = answers(&printed, checks.len()).iter().map(|a| a.status).collect();
        // The kernel's argument, the port, three files, four commands.
        assert_eq!(statuses, [1, 0, 0, 1, 1, 0, 0, 1, 0], "{printed}");
        let told = answers(&printed, checks.len());
        assert!(told[7].text.contains("it's"), "{told:?}");
        let half: String = printed.split_inclusive('\n').take(1).collect();
        assert!(!is_complete(&half));
        assert_eq!(answers(&half, checks.len())[8].status, -1);
    }
}
