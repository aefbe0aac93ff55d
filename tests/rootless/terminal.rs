//! A terminal of the sandbox's own, relayed to a person.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use goldsmith_runtime::{SandboxPlan, Stdin};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::Case;
use crate::fixture::Fixture;
use crate::own_run;

pub(crate) const CASES: &[Case] = &[
    ("a_terminal_is_relayed_with_its_size", relayed),
    ("keys_interrupt_the_program_not_the_builder", interrupt),
    ("a_terminal_without_a_person_ends_with_its_input", piped),
    ("the_users_terminal_stays_outside_r15", stays_outside),
];

/// A builder at a terminal that this test holds the other end of.
struct Seat {
    master: File,
    slave: OwnedFd,
    builder: Child,
    seen: String,
}

impl Seat {
    fn take(plan: &SandboxPlan) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::openat(CWD, ptsname(&master, Vec::new())?, flags, Mode::empty())?;
        tcsetwinsize(&master, size(30, 100))?;
        let builder = own_run(plan)?
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .spawn()?;
        Ok(Self { master: File::from(master), slave, builder, seen: String::new() })
    }

    /// Reads until `text` has come.
    fn wait_for(&mut self, text: &str) -> Result<()> {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            let count = self.master.read(&mut buffer)?;
            ensure!(count > 0, "the terminal closed after {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        Ok(())
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn relayed() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan(
        "stty size; tty; echo x > /dev/tty && echo controls; \
         until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo resized; \
         read word; echo got:$word; exit 7",
    );
    plan.stdin = Stdin::Terminal;
    let mut seat = Seat::take(&plan)?;
    let before = tcgetattr(&seat.slave)?;
    seat.wait_for("controls")?;
    ensure!(seat.seen.contains("30 100\r\n/dev/pts/0\r\n"), "{:?}", seat.seen);
    tcsetwinsize(&seat.master, size(40, 120))?;
    let pid = Pid::from_raw(i32::try_from(seat.builder.id())?).context("no process id")?;
    kill_process(pid, Signal::WINCH)?;
    seat.wait_for("resized")?;
    seat.master.write_all(b"hello\r")?;
    seat.wait_for("got:hello")?;
    ensure!(seat.builder.wait()?.code() == Some(7), "{:?}", seat.seen);
    let after = tcgetattr(seat.slave.as_fd())?;
    ensure!(before.local_modes == after.local_modes, "the terminal was left raw");
    ensure!(before.output_modes == after.output_modes, "the terminal was left raw");
    Ok(())
}

fn interrupt() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("trap 'exit 9' INT; echo ready; sleep 1000 & wait; exit 1");
    plan.stdin = Stdin::Terminal;
    let mut seat = Seat::take(&plan)?;
    seat.wait_for("ready")?;
    seat.master.write_all(b"\x03")?;
    ensure!(seat.builder.wait()?.code() == Some(9), "{:?}", seat.seen);
    Ok(())
}

fn piped() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("cat; echo end; exit 5");
    plan.stdin = Stdin::Terminal;
    let mut builder = own_run(&plan)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    builder.stdin.take().context("no pipe")?.write_all(b"typed\n")?;
    let output = builder.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(5), "{output:?}");
    ensure!(text.contains("typed\r\n") && text.contains("end\r\n"), "{text:?}");
    Ok(())
}

fn stays_outside() -> Result<()> {
    let fixture = Fixture::new()?;
    let script = "[ -t 0 ] && echo held; readlink /proc/self/fd/0; echo done";
    let mut plan = fixture.plan(script);
    plan.stdin = Stdin::Inherit;
    let mut seat = Seat::take(&plan)?;
    seat.wait_for("done")?;
    ensure!(seat.seen.starts_with("/dev/null"), "{:?}", seat.seen);
    ensure!(seat.builder.wait()?.success(), "{:?}", seat.seen);
    // The legal twin: what is no terminal is passed on.
    fixture.reset()?;
    plan.argv = ["/bin/bash", "-c", "cat"].map(Into::into).to_vec();
    let mut builder = own_run(&plan)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    builder.stdin.take().context("no pipe")?.write_all(b"passed on\n")?;
    let output = builder.wait_with_output()?;
    ensure!(output.stdout == b"passed on\n", "{output:?}");
    Ok(())
}
