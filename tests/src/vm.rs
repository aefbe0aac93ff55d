//! A guest in QEMU, without acceleration: what opens /dev/kvm here need not work.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running guest; it ends with this value.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    console: Arc<Mutex<Vec<u8>>>,
    /// Port of 127.0.0.1 that leads to the guest's ssh.
    pub ssh_port: u16,
    _variables: Option<tempfile::NamedTempFile>,
}

/// A port of 127.0.0.1 that nobody uses just now.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The address of every guest's network card.
pub const MAC: &str = "52:54:00:12:34:56";

/// A machine without a disk, its first serial line on standard output.
fn machine(network: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg", "-machine", "q35", "-m", "1024", "-nographic", "-nodefaults"])
        .args(["-serial", "stdio", "-monitor", "none", "-netdev", network, "-device"])
        .arg(format!("virtio-net-pci,netdev=n0,mac={MAC}"))
        .args(["-device", "virtio-rng-pci"]);
    command
}

impl Vm {
    /// Boots `image` without changing it; `seed` is attached as a second disk.
    ///
    /// # Errors
    ///
    /// When QEMU or its firmware is missing.
    pub fn boot(image: &Path, format: &str, seed: Option<&Path>, uefi: bool) -> Result<Self> {
        let ssh_port = free_port()?;
        let network = format!("user,id=n0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22");
        let mut command = machine(&network);
        command
            .arg("-drive")
            .arg(format!("file={},format={format},if=virtio,snapshot=on", image.display()));
        if let Some(seed) = seed {
            let drive = format!("file={},format=raw,if=virtio,readonly=on", seed.display());
            command.arg("-drive").arg(drive);
        }
        let mut variables = None;
        if uefi {
            let copy = tempfile::NamedTempFile::new()?;
            fs_err::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", copy.path())?;
            command
                .arg("-drive")
                .arg("if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd")
                .arg("-drive")
                .arg(format!("if=pflash,unit=1,format=raw,file={}", copy.path().display()));
            variables = Some(copy);
        }
        Self::start(command, ssh_port, variables)
    }

    /// Boots `NAME.kernel` with `NAME.initramfs` and these words on the kernel's command line;
    /// a reboot ends the guest. `network` is what QEMU's user network is told beside; `disk` is a
    /// raw one that the guest may write to.
    ///
    /// # Errors
    ///
    /// When QEMU is missing.
    pub fn ramdisk(name: &Path, words: &str, network: &str, disk: Option<&Path>) -> Result<Self> {
        let mut command = machine(&format!("user,id=n0{network}"));
        command
            .arg("-no-reboot")
            .arg("-kernel")
            .arg(name.with_extension("kernel"))
            .arg("-initrd")
            .arg(name.with_extension("initramfs"))
            .args(["-append", &format!("console=ttyS0 {words}")]);
        if let Some(disk) = disk {
            command.arg("-drive").arg(format!("file={},format=raw,if=virtio", disk.display()));
        }
        Self::start(command, 0, None)
    }

    /// Runs a command that shows a guest's first serial line as its output, and gives the guest's ssh
    /// this port.
    ///
    /// # Errors
    ///
    /// When the command cannot be run.
    pub fn of(command: Command, ssh_port: u16) -> Result<Self> {
        Self::start(command, ssh_port, None)
    }

    fn start(
        mut command: Command,
        ssh_port: u16,
        variables: Option<tempfile::NamedTempFile>,
    ) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("{:?}", command.get_program()))?;
        let console = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&console);
        let mut out = child.stdout.take().context("no console")?;
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut chunk) {
                if let Ok(mut console) = into.lock() {
                    console.extend_from_slice(&chunk[..count]);
                }
            }
        });
        Ok(Self { child, console, ssh_port, _variables: variables })
    }

    /// Waits until the console shows `token`.
    ///
    /// # Errors
    ///
    /// When the time is up or QEMU ends; the error holds the console's end.
    pub fn expect(&mut self, token: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.text().contains(token) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("QEMU ended ({status}): {}", self.tail());
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        bail!("no {token:?} within {limit:?}: {}", self.tail())
    }

    /// Waits until the guest has powered off.
    ///
    /// # Errors
    ///
    /// When the time is up, or what ran the guest failed.
    pub fn ends(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{status}: {}", self.tail()),
                None => std::thread::sleep(Duration::from_millis(300)),
            }
        }
        bail!("it still runs after {limit:?}: {}", self.tail())
    }

    /// What the console showed.
    pub fn text(&self) -> String {
        self.console
            .lock()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn tail(&self) -> String {
        let text = self.text();
        let start = text.len().saturating_sub(3000);
        text[text.ceil_char_boundary(start)..].to_owned()
    }

    /// Runs `script` in the guest over ssh, trying until `limit` is over.
    ///
    /// # Errors
    ///
    /// When nobody answers, the key is refused or the script fails.
    pub fn ssh(&self, user: &str, key: &Path, script: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let output = Command::new("ssh")
                .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
                .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR"])
                .arg("-i")
                .arg(key)
                .args(["-p", &self.ssh_port.to_string(), &format!("{user}@127.0.0.1"), script])
                .stdin(Stdio::null())
                .output()
                .context("ssh")?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            let unreachable = output.status.code() == Some(255);
            if !unreachable || Instant::now() > end {
                bail!(
                    "ssh: {} {} {}\nconsole: {}",
                    output.status,
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr),
                    self.tail()
                );
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(|_| ())) {
            let line = format!("QEMU: {error}\n");
            // Nobody reads standard error of a test that is being torn down.
            drop(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()));
        }
    }
}
