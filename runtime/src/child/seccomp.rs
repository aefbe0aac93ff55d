//! The default filter: calls that no build needs and that widen what a hook could attack.
//!
//! It is defence in depth: namespaces and capabilities decide what is allowed. Refused
//! calls fail with EPERM, those that programs probe for with ENOSYS.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::seccomp_i386;
use crate::plan::Privilege;

/// Refused with EPERM, always.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// Refused with ENOSYS: programs fall back to older calls.
const ABSENT: &[i64] =
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Refused with EPERM unless the sandbox may mount.
const MOUNTING: &[i64] = &[
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
];

/// Builds the filter for this machine.
pub(super) fn filter(privilege: Privilege) -> Result<Programs, String> {
    let refused = REFUSED.iter();
    let mounting = MOUNTING.iter().filter(|_| privilege == Privilege::Package);
    Ok(Programs {
        refused: program(refused.chain(mounting), libc::EPERM)?,
        absent: program(ABSENT.iter(), libc::ENOSYS)?,
        i386: cfg!(target_arch = "x86_64").then(|| seccomp_i386::program(privilege)),
    })
}

/// Filters stack: each refuses its own calls.
#[derive(Clone)]
pub(super) struct Programs {
    refused: BpfProgram,
    absent: BpfProgram,
    /// Only where the machine runs i386 programs too.
    i386: Option<BpfProgram>,
}

impl Programs {
    /// Installs the filters for this thread and everything it starts; they cannot be taken
    /// off. Needs no_new_privs.
    pub(super) fn apply(&self) -> Result<(), seccompiler::Error> {
        if let Some(i386) = &self.i386 {
            seccompiler::apply_filter(i386)?;
        }
        seccompiler::apply_filter(&self.absent)?;
        seccompiler::apply_filter(&self.refused)
    }
}

fn program<'a>(calls: impl Iterator<Item = &'a i64>, errno: i32) -> Result<BpfProgram, String> {
    let text = |error: &dyn std::fmt::Display| format!("seccomp filter: {error}");
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        calls.map(|&call| (call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| text(&error))?;
    let errno = u32::try_from(errno).map_err(|error| text(&error))?;
    let mut program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)
            .map_err(|error| text(&error))?
            .try_into()
            .map_err(|error: seccompiler::BackendError| text(&error))?;
    spare_other_abis(&mut program)?;
    Ok(program)
}

/// Lets calls of the machine's other ABI through, which seccompiler would answer by killing
/// the process: i386 images run on amd64 by it, and [`seccomp_i386`] filters them.
///
/// The program begins by loading the architecture, comparing it and returning KILL.
fn spare_other_abis(program: &mut BpfProgram) -> Result<(), String> {
    const RETURN: u16 = 0x06;
    const KILL_PROCESS: u32 = 0x8000_0000;
    const ALLOW: u32 = 0x7fff_0000;
    match program.get_mut(2) {
        Some(third) if third.code == RETURN && third.k == KILL_PROCESS => {
            third.k = ALLOW;
            Ok(())
        }
        _ => Err("seccomp filter: an unknown prologue".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_compile() {
        for privilege in [Privilege::Package, Privilege::Mounting] {
            let programs = filter(privilege).unwrap();
            assert!(programs.refused.len() > REFUSED.len());
        }
    }
}
