//! Steering without privileges: a classic BPF program on a SO_REUSEPORT group that picks the socket of a SET's worker.
//!
//! It computes [`rp_core::steer`] again, in the only language the kernel takes from anyone. The kernel runs it with offset
//! 0 at the UDP payload; loads of several bytes are big-endian there, so little-endian fields are read byte by byte. A
//! load past the end of a short datagram ends the program with 0: worker 0, who counts it.

use std::io;
use std::os::fd::AsFd;

use rp_core::kind::Kind;
use rp_core::limits::{SLOT_BITS, SLOTS_PER_SET};

use crate::option;
use crate::socket::UdpSocket;

type Instruction = libc::sock_filter;

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const SHIFT_LEFT: u32 = libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K;
const SHIFT_RIGHT: u32 = libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K;
const MULTIPLY: u32 = libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K;
const DIVIDE: u32 = libc::BPF_ALU | libc::BPF_DIV | libc::BPF_K;
const MODULO: u32 = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
const OR_X: u32 = libc::BPF_ALU | libc::BPF_OR | libc::BPF_X;
const TO_X: u32 = libc::BPF_MISC | libc::BPF_TAX;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN_A: u32 = libc::BPF_RET | libc::BPF_A;

/// Instructions of the part that reads the SET hash, and of the part that reads the session.
const HASH_PART: usize = 7;
const SESSION_PART: usize = 11;

/// The program for a server of `sets` SETs and `workers` workers, both above zero.
pub fn program(sets: u32, workers: u32) -> Vec<Instruction> {
    let mut code = vec![
        op(LOAD_BYTE, 0),
        op(AND, 0x3f),
        // Jumps count from the next instruction.
        jump_equal(Kind::Hello as u32, 1 + 1 + SESSION_PART, 0),
        jump_equal(Kind::Login as u32, 1 + SESSION_PART, 0),
    ];
    // The slot is the low 22 bits of a little-endian word: two bytes and six bits of a third.
    code.extend([
        op(LOAD_BYTE, 4),
        op(AND, (1 << (SLOT_BITS - 16)) - 1),
        op(SHIFT_LEFT, 8),
        op(TO_X, 0),
        op(LOAD_BYTE, 3),
        op(OR_X, 0),
        op(SHIFT_LEFT, 8),
        op(TO_X, 0),
        op(LOAD_BYTE, 2),
        op(OR_X, 0),
        op(DIVIDE, SLOTS_PER_SET as u32),
    ]);
    code.push(op(JUMP, HASH_PART as u32));
    code.extend([
        op(LOAD_BYTE, 3),
        op(SHIFT_LEFT, 8),
        op(TO_X, 0),
        op(LOAD_BYTE, 2),
        op(OR_X, 0),
        op(MULTIPLY, sets),
        op(SHIFT_RIGHT, 16),
    ]);
    code.extend([op(MODULO, workers), op(RETURN_A, 0)]);
    code
}

/// Attaches the program to the group that `socket` belongs to. The sockets must have been bound in the order of their
/// workers; a group of more or fewer sockets than `workers` would be steered wrongly.
///
/// # Errors
/// What the kernel says; it takes the program since Linux 4.5, from anyone.
pub fn attach(socket: &UdpSocket, sets: u32, workers: u32) -> io::Result<()> {
    let mut code = program(sets, workers);
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // The kernel copies the instructions before the call returns, so `code` outlives their use.
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

impl UdpSocket {
    /// From here on what comes is thrown away and counted as overflow; what waits can still be read.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn close_intake(&self) -> io::Result<()> {
        // A filter that keeps no byte of anything.
        let mut code = [op(libc::BPF_RET | libc::BPF_K, 0)];
        let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
        // The kernel copies the instructions before the call returns, so `code` outlives their use.
        option::set(self.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }
}

fn op(code: u32, k: u32) -> Instruction {
    Instruction { code: code as u16, jt: 0, jf: 0, k }
}

fn jump_equal(k: u32, if_so: usize, if_not: usize) -> Instruction {
    Instruction { code: JUMP_EQUAL as u16, jt: if_so as u8, jf: if_not as u8, k }
}
