//! Socket options by their numbers; what their bytes mean is in the table of `sockopt.rs`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fourwave_linux::calls;
use rustix::io::Errno;

use super::table::Outcome;
use crate::sockopt::{self, Kind};
use crate::syscall::{OptionValue, Output};

/// More than any option has; a script's larger buffer is as good as this one.
const MOST: usize = 64 * 1024;

pub(super) fn get(fd: &OwnedFd, level: i32, name: i32, len: usize) -> Outcome {
    let mut buffer = vec![0; len.min(MOST)];
    let len = calls::get_option(fd.as_fd(), level, name, &mut buffer)?;
    Ok((0, decode(level, name, &buffer[..len])))
}

fn decode(level: i32, name: i32, bytes: &[u8]) -> Output {
    let int = |at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i32::from_ne_bytes)
    };
    let kind = sockopt::find(level, name).map_or(Kind::Number, |option| option.kind);
    match (kind, bytes.len()) {
        (Kind::Linger, 8) => Output::Linger { on: int(0), seconds: int(4) },
        (Kind::Name, _) => {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            Output::Bytes(bytes[..end].to_vec())
        }
        (Kind::Bytes, _) => Output::Bytes(bytes.to_vec()),
        (_, 4) => Output::Int { value: int(0).into(), len: 4 },
        (_, len @ (1 | 2 | 8)) => {
            let mut wide = [0; 8];
            wide[..len].copy_from_slice(bytes);
            Output::Int { value: i64::from_ne_bytes(wide), len }
        }
        _ => Output::Bytes(bytes.to_vec()),
    }
}

pub(super) fn set(fd: &OwnedFd, level: i32, name: i32, value: &OptionValue, len: i64) -> Outcome {
    let bytes = match value {
        OptionValue::Null => None,
        OptionValue::Int(value) if len == 8 => Some(value.to_ne_bytes().to_vec()),
        OptionValue::Int(value) => Some(value.to_ne_bytes()[..4].to_vec()),
        OptionValue::Linger { on, seconds } => {
            Some([on.to_ne_bytes(), seconds.to_ne_bytes()].concat())
        }
        OptionValue::Bytes(bytes) => Some(bytes.clone()),
    };
    let len = i32::try_from(len).map_err(|_| io::Error::from(Errno::INVAL))?;
    if usize::try_from(len).is_ok_and(|len| len > MOST) {
        return Err(Errno::INVAL.into());
    }
    calls::set_option(fd.as_fd(), level, name, bytes.as_deref(), len)?;
    Ok((0, Output::None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_what_the_option_is() {
        let two = [1_i32.to_ne_bytes(), 5_i32.to_ne_bytes()].concat();
        let linger = Output::Linger { on: 1, seconds: 5 };
        assert_eq!(decode(libc::SOL_SOCKET, libc::SO_LINGER, &two), linger);
        let cubic = b"cubic\0\0\0\0\0\0\0\0\0\0\0";
        let name = decode(libc::SOL_TCP, libc::TCP_CONGESTION, cubic);
        assert_eq!(name, Output::Bytes(b"cubic".to_vec()));
        let minus = decode(libc::SOL_SOCKET, libc::SO_MARK, &(-1_i32).to_ne_bytes());
        assert_eq!(minus, Output::Int { value: -1, len: 4 });
        let key = decode(libc::SOL_TCP, libc::TCP_FASTOPEN_KEY, &[7; 16]);
        assert_eq!(key, Output::Bytes(vec![7; 16]));
        let byte = decode(libc::SOL_IP, libc::IP_TOS, &[200]);
        assert_eq!(byte, Output::Int { value: 200, len: 1 });
    }
}
