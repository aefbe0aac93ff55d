//! `goldsmith test`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use goldsmith_runtime::Cancel;

use super::boot::MachineArgs;
use crate::error::{Failure, Kind, Result};
use crate::guest::Machine;
use crate::guest::ask::Account;
use crate::guest::console::Guest;
use crate::guest::junit;
use crate::guest::script::{Answer, Check, answers, script};
use crate::guest::spec::{Spec, Transport};
use crate::report::{print, printable};

/// What `test` takes.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// What is expected of the guest (docs/guests.md)
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// Write the results as JUnit's XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show the guest's console
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the verb: boots the image without changing it and has the guest look at itself.
///
/// # Errors
///
/// When the spec or the image makes no sense, QEMU is missing, or the guest does not come up.
pub fn run(args: &TestArgs) -> Result<u8> {
    let spec = Spec::read(&args.spec)?;
    let checks = spec.checks();
    let cancel = Cancel::default();
    super::cancel_on_signals(&cancel)?;
    let begun = Instant::now();
    let asked = ask(args, &spec, &checks, &cancel);
    let name = args.machine.image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let seconds = begun.elapsed().as_secs_f64();
    let told = match &asked {
        Ok(results) => junit::document(&name, seconds, results, None),
        Err(failure) => junit::document(&name, seconds, &[], Some(&failure.message)),
    };
    if let Some(path) = &args.junit {
        write(path, &told)?;
    }
    let results = asked?;
    let mut text = String::new();
    for (check, answer) in &results {
        let word = if answer.status == 0 { "ok  " } else { "FAIL" };
        text.push_str(&format!("{word} {} {}\n", check.class, printable(check.name.as_bytes())));
        if answer.status != 0 {
            for line in answer.text.lines() {
                text.push_str(&format!("     | {}\n", printable(line.as_bytes())));
            }
        }
    }
    let failed = results.iter().filter(|(_, answer)| answer.status != 0).count();
    text.push_str(&format!("{} checks, {failed} failed, {seconds:.0} s\n", results.len()));
    print(&text);
    Ok(u8::from(failed > 0))
}

fn ask(
    args: &TestArgs,
    spec: &Spec,
    checks: &[Check],
    cancel: &Cancel,
) -> Result<Vec<(Check, Answer)>> {
    let account = Account::new(&spec.guest)?;
    let ssh_port = match spec.guest.transport {
        Transport::Ssh => Some(free_port()?),
        Transport::Serial => None,
    };
    let seed = account.settings.as_ref().map(|settings| settings.disk()).transpose()?;
    let machine = Machine { ssh_port, seed, ..args.machine.machine()? };
    let mut guest = Guest::start(&machine, args.verbose)?;
    let port = ssh_port.unwrap_or_default();
    let printed = account.ask(&mut guest, port, &script(checks), cancel)?;
    let answers = answers(&printed, checks.len());
    Ok(checks.iter().cloned().zip(answers).collect())
}

/// A port of 127.0.0.1 that nobody uses just now.
fn free_port() -> Result<u16> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::wrap(Kind::Host, "a port for the guest's ssh", &error))
}

/// Writes a file that appears complete or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "--junit", &error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".goldsmith-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map(|_| ()).map_err(|error| failed(error.error))
}
