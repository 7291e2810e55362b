//! `sendmsg` and `recvmsg`: parts and ancillary messages.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fourwave_linux::calls::{self, Ancillary, Destination};

use super::table::{Clock, Outcome};
use crate::syscall::{Control, Output, Received};

/// `SCM_TIMESTAMPING` with times of 64 bits everywhere (`SO_TIMESTAMPING_NEW`).
const TIMESTAMPING_NEW: i32 = 65;
/// `SCM_TXTIME`, whose number has 64 bits.
const TXTIME: i32 = 61;

/// This many zeros, which stay where they are for as long as the process lives: MSG_ZEROCOPY
/// sends them after the call has returned.
pub(super) fn zeros(len: usize) -> &'static [u8] {
    const FIRST: usize = 1 << 20;
    static ZEROS: Mutex<&'static [u8]> = Mutex::new(&[]);
    let mut zeros = ZEROS.lock().unwrap_or_else(PoisonError::into_inner);
    if zeros.len() < len {
        *zeros = vec![0; len.next_power_of_two().max(FIRST)].leak();
    }
    &zeros[..len]
}

pub(super) fn send(
    fd: &OwnedFd,
    parts: &[usize],
    to: Option<Destination>,
    control: &[Control],
    flags: i32,
) -> Outcome {
    let slices: Vec<_> = parts.iter().map(|len| IoSlice::new(zeros(*len))).collect();
    let messages: Vec<_> = control.iter().map(ancillary).collect();
    let control = calls::encode_control(&messages);
    let sent = calls::send_message(fd.as_fd(), &slices, to, &control, flags)?;
    Ok((sent as i64, Output::None))
}

fn ancillary(control: &Control) -> Ancillary {
    let bytes = control.value.to_ne_bytes();
    let wide = control.level == libc::SOL_SOCKET && control.kind == TXTIME;
    let len = if wide { 8 } else { 4 };
    Ancillary { level: control.level, kind: control.kind, data: bytes[..len].to_vec() }
}

pub(super) fn receive(fd: &OwnedFd, parts: &[usize], flags: i32, clock: Clock) -> Outcome {
    let mut buffers: Vec<_> = parts.iter().map(|len| vec![0; *len]).collect();
    let mut slices: Vec<_> = buffers.iter_mut().map(|part| IoSliceMut::new(part)).collect();
    let message = calls::receive_message(fd.as_fd(), &mut slices, flags)?;
    let control = message.control.iter().map(|one| received(one, clock)).collect();
    Ok((message.len as i64, Output::Message { flags: message.flags, control }))
}

fn received(message: &Ancillary, clock: Clock) -> Received {
    let Ancillary { level, kind, ref data } = *message;
    let word = |at: usize| {
        let bytes = data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    };
    let wide = |at: usize| {
        let bytes = data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i64::from_ne_bytes)
    };
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING | TIMESTAMPING_NEW | libc::SCM_TIMESTAMPNS)
            if data.len() >= 16 =>
        {
            let (seconds, nanos) = since(clock, wide(0), wide(8));
            Received::Timestamping { level, kind, seconds, nanos }
        }
        (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
            if data.len() >= 16 =>
        {
            Received::Error {
                level,
                kind,
                errno: word(0),
                origin: data[4],
                kind_of: data[5],
                code: data[6],
                info: word(8),
                data: word(12),
            }
        }
        _ if data.len() >= 8 => Received::Int { level, kind, value: wide(0) },
        _ => Received::Int { level, kind, value: i64::from(word(0).cast_signed()) },
    }
}

/// A moment of the wall's clock as seconds and nanoseconds since the script began.
fn since(clock: Clock, seconds: i64, nanos: i64) -> (i64, i64) {
    let began = clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let began = i128::try_from(began.as_nanos()).unwrap_or(0);
    let at = i128::from(seconds) * 1_000_000_000 + i128::from(nanos) - began;
    let part = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
    (part(at.div_euclid(1_000_000_000)), part(at.rem_euclid(1_000_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn zeros_are_zeros_and_stay() {
        let few = zeros(3);
        let many = zeros(3 << 20);
        assert_eq!((few.len(), many.len()), (3, 3 << 20));
        assert!(few.iter().chain(many).all(|byte| *byte == 0));
    }

    #[test]
    fn times_count_from_the_scripts_beginning() {
        let wall = SystemTime::UNIX_EPOCH + Duration::new(1000, 900_000_000);
        let clock = Clock { start: Instant::now(), wall };
        assert_eq!(since(clock, 1002, 100_000_000), (1, 200_000_000));
        assert_eq!(since(clock, 1000, 0), (-1, 100_000_000));
    }
}
