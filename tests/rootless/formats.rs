//! Programs of other machines, each sandbox with its own.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use goldsmith_runtime::{ExitStatus, FormatPlan, SandboxPlan, probe_formats, registered};

use crate::Case;
use crate::fixture::Fixture;

pub(crate) const CASES: &[Case] = &[
    ("programs_of_a_format_are_handed_to_its_interpreter", handed),
    ("formats_are_the_sandboxs_own", own),
    ("a_format_that_the_kernel_would_misread_is_refused", refused),
];

/// The host's echo says what an interpreter is called with.
fn format(argument_zero: bool) -> FormatPlan {
    FormatPlan {
        name: "trial".into(),
        magic: b"\x7fG\0:\nA".into(),
        // The last byte may be anything.
        mask: b"\xff\xff\xff\xff\xff\0".into(),
        interpreter: PathBuf::from("/bin/echo"),
        argument_zero,
    }
}

/// Starts a program of that format, in a root that does not hold its interpreter.
fn plan(fixture: &Fixture, formats: Vec<FormatPlan>) -> Result<SandboxPlan> {
    use std::os::unix::fs::PermissionsExt as _;
    let program = fixture.path("root/foreign");
    fs_err::write(&program, b"\x7fG\0:\nZ and whatever follows")?;
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let script = "[ ! -e /bin/echo ] && exec -a zero /foreign one two";
    Ok(SandboxPlan { formats, ..fixture.plan(script) })
}

/// Whether this kernel has what the cases need; where it has not, sandboxes say so.
fn possible(fixture: &Fixture) -> Result<bool> {
    let check = probe_formats(&fixture.identity);
    if check.ok {
        return Ok(true);
    }
    let error = fixture.run(&plan(fixture, vec![format(false)])?).expect_err("it ran");
    let error = format!("{error:#}");
    ensure!(error.contains("programs of other machines"), "{error}");
    Ok(false)
}

fn handed() -> Result<()> {
    let fixture = Fixture::new()?;
    if !possible(&fixture)? {
        return Ok(());
    }
    for (argument_zero, said) in [(false, "/foreign one two\n"), (true, "/foreign zero one two\n")]
    {
        let ran = fixture.run(&plan(&fixture, vec![format(argument_zero)])?)?;
        ensure!(ran.status == ExitStatus::Code(0) && ran.stdout == said, "{ran:?}");
        fixture.reset()?;
    }
    Ok(())
}

fn own() -> Result<()> {
    let fixture = Fixture::new()?;
    if !possible(&fixture)? {
        return Ok(());
    }
    // Two with the same name at the same time, and afterwards nobody has it.
    let other = Fixture::new()?;
    std::thread::scope(|scope| -> Result<()> {
        let waits = || -> Result<_> {
            let mut plan = plan(&other, vec![format(true)])?;
            plan.argv[2] = "sleep 1; exec /foreign".into();
            other.run(&plan)
        };
        let waiting = scope.spawn(waits);
        let ran = fixture.run(&plan(&fixture, vec![format(false)])?)?;
        ensure!(ran.stdout == "/foreign one two\n", "{ran:?}");
        let ran = waiting.join().expect("no case panics")?;
        ensure!(ran.stdout == "/foreign /foreign\n", "{ran:?}");
        Ok(())
    })?;
    fixture.reset()?;
    ensure!(!registered(&format(false)), "the host has it");
    let ran = fixture.run(&plan(&fixture, Vec::new())?)?;
    ensure!(ran.status == ExitStatus::Code(126), "{ran:?}");
    Ok(())
}

fn refused() -> Result<()> {
    let fixture = Fixture::new()?;
    if !possible(&fixture)? {
        return Ok(());
    }
    let mut bad = format(false);
    bad.name = "../register".into();
    let error = fixture.run(&plan(&fixture, vec![bad])?).expect_err("it ran");
    let error = format!("{error:#}");
    ensure!(error.contains("cannot be the name of a format"), "{error}");
    Ok(())
}
