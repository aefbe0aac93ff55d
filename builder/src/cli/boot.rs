//! `goldsmith boot`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use goldsmith_runtime::Cancel;

use crate::error::{Failure, Kind, Result};
use crate::guest::console::{Guest, Waited};
use crate::guest::image::ImageFile;
use crate::guest::seed::Settings;
use crate::guest::{Machine, accel, firmware, terminal};

/// What a machine is made of: `boot` and `test` share it.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// The image: qcow2 or raw; vmdk, vdi, vhd and vhdx as QEMU reads them
    pub(super) image: PathBuf,
    /// What starts the machine
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) firmware: firmware::Wanted,
    /// The same as --firmware uefi
    #[arg(long, conflicts_with = "firmware")]
    pub(super) uefi: bool,
    /// Memory of the guest in MiB
    #[arg(short, long, value_name = "MIB", default_value = "1024")]
    pub(super) memory: u32,
    /// Processors of the guest
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) cpus: u32,
    /// Show the guest a larger disk; what it writes is thrown away
    #[arg(long, value_name = "GIB")]
    pub(super) disk_size: Option<u32>,
    /// How the guest's processor is made
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) accel: accel::Wanted,
}

/// What `boot` takes.
#[derive(Debug, Args)]
pub struct BootArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Forward this port of 127.0.0.1 to the guest's ssh
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// Give cloud-init this file as user data
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Let cloud-init give the image's own user this public key
    #[arg(long, value_name = "FILE")]
    ssh_key: Vec<PathBuf>,
    /// Wait until the console shows this text, then end the guest; several in their order
    #[arg(long, value_name = "TEXT")]
    expect: Vec<String>,
    /// How long to wait for all of them, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "300", requires = "expect")]
    timeout: u64,
    /// Let the guest change the image
    #[arg(long, conflicts_with = "disk_size")]
    write: bool,
}

impl MachineArgs {
    /// The machine; a trial guest may run to find out how its processor is made.
    ///
    /// # Errors
    ///
    /// When the image cannot be booted, or QEMU or the firmware is not installed.
    pub fn machine(&self) -> Result<Machine> {
        let image = ImageFile::open(&self.image)?;
        let wanted = if self.uefi { firmware::Wanted::Uefi } else { self.firmware };
        Ok(Machine {
            firmware: firmware::Firmware::choose(wanted, &image)?,
            image,
            accel: accel::Accel::choose(self.accel)?,
            memory_mib: self.memory,
            cpus: self.cpus,
            ssh_port: None,
            write: false,
            disk_gib: self.disk_size,
            seed: None,
        })
    }
}

/// Runs the verb: the guest's serial console is standard input and output, until the guest
/// powers off, ctrl-A x is typed, or all expected texts have come. The guest is gone afterwards,
/// and the image as it was.
///
/// # Errors
///
/// When the image cannot be booted, QEMU or the firmware is not installed, or an expected text
/// does not come.
pub fn run(args: &BootArgs) -> Result<u8> {
    let seed = Settings::read(args.user_data.as_deref(), &args.ssh_key)?;
    let seed = seed.map(|settings| settings.disk()).transpose()?;
    let machine =
        Machine { ssh_port: args.ssh_port, write: args.write, seed, ..args.machine.machine()? };
    let cancel = Cancel::default();
    super::cancel_on_signals(&cancel)?;
    let mut guest = Guest::start(&machine, true)?;
    if args.expect.is_empty() {
        return terminal::attend(&mut guest, &cancel);
    }
    let limit = Duration::from_secs(args.timeout);
    let until = Instant::now() + limit;
    for text in &args.expect {
        let why = match guest.wait_for(text, until, &cancel)? {
            Waited::Seen => continue,
            Waited::TimeUp => format!("within {} seconds", args.timeout),
            Waited::Ended => "before the guest ended".to_owned(),
        };
        let message = format!("the console did not show {text:?} {why}");
        return Err(Failure::new(Kind::Build, message));
    }
    Ok(0)
}
