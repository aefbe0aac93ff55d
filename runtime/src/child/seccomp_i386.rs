//! The filter for i386 calls on amd64, by which i386 images run and which seccompiler does
//! not know. Without it `int $0x80` would go around the other filter.

use seccompiler::{BpfProgram, sock_filter};

use crate::plan::Privilege;

/// `AUDIT_ARCH_I386` of <linux/audit.h>.
const ARCH: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// The i386 numbers of what [`super::seccomp`] refuses, in the order of its list.
const REFUSED: &[u32] = &[
    51,  // acct
    286, // add_key
    357, // bpf
    129, // delete_module
    350, // finit_module
    128, // init_module
    283, // kexec_load
    288, // keyctl
    253, // lookup_dcookie
    342, // open_by_handle_at
    336, // perf_event_open
    131, // quotactl
    88,  // reboot
    287, // request_key
    79,  // settimeofday
    25,  // stime
    264, // clock_settime
    404, // clock_settime64
    343, // clock_adjtime
    405, // clock_adjtime64
    124, // adjtimex
    115, // swapoff
    87,  // swapon
    103, // syslog
    374, // userfaultfd
    111, // vhangup
];

/// `io_uring_setup`, `_enter`, `_register`.
const ABSENT: &[u32] = &[425, 426, 427];

/// What needs leave to mount.
const MOUNTING: &[u32] = &[
    431, // fsconfig
    432, // fsmount
    430, // fsopen
    433, // fspick
    21,  // mount
    442, // mount_setattr
    429, // move_mount
    428, // open_tree
    217, // pivot_root
    346, // setns
    22,  // umount
    52,  // umount2
];

/// Builds the filter; calls of other architectures pass.
pub(super) fn program(privilege: Privilege) -> BpfProgram {
    let mounting = MOUNTING.iter().filter(|_| privilege == Privilege::Package);
    let refused = REFUSED.iter().chain(mounting).map(|&call| (call, libc::EPERM));
    let absent = ABSENT.iter().map(|&call| (call, libc::ENOSYS));
    let mut program = vec![
        statement(LOAD, ARCH_AT),
        jump(ARCH, 1, 0),
        statement(RETURN, ALLOW),
        statement(LOAD, NUMBER_AT),
    ];
    for (call, errno) in refused.chain(absent) {
        program.push(jump(call, 0, 1));
        program.push(statement(RETURN, ERRNO | errno.unsigned_abs()));
    }
    program.push(statement(RETURN, ALLOW));
    program
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Skips `jt` statements when the loaded word is `k`, else `jf`.
fn jump(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: JUMP_IF_EQUAL, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn verdict(program: &BpfProgram, arch: u32, number: u32) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                LOAD if step.k == ARCH_AT => word = arch,
                LOAD => word = number,
                JUMP_IF_EQUAL => {
                    at += usize::from(if word == step.k { step.jt } else { step.jf });
                }
                RETURN => return step.k,
                other => unreachable!("{other:#x}"),
            }
        }
    }

    #[test]
    fn listed_calls_of_i386_are_refused_and_no_others() {
        const AMD64: u32 = 0xc000_003e;
        let package = program(Privilege::Package);
        let mounting = program(Privilege::Mounting);
        for (number, wanted) in
            [(21, ERRNO | 1), (288, ERRNO | 1), (111, ERRNO | 1), (425, ERRNO | 38), (4, ALLOW)]
        {
            assert_eq!(verdict(&package, ARCH, number), wanted, "{number}");
            assert_eq!(verdict(&package, AMD64, number), ALLOW, "{number}");
        }
        assert_eq!(verdict(&mounting, ARCH, 21), ALLOW);
        assert_eq!(verdict(&mounting, ARCH, 288), ERRNO | 1);
    }
}
