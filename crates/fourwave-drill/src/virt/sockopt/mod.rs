//! `setsockopt` and `getsockopt`: what the target does for each option is a row of `rows.rs`;
//! what takes more than a line there is in `act.rs`.

mod act;
mod rows;

use self::rows::{Get, Row, Set};
use super::Virtual;
use super::abi::{self, errno};
use super::outcome::{Attempt, done, done_with, fail, unsupported};
use crate::sockopt::name_of;
use crate::syscall::{Fd, OptionValue, Output};

impl Virtual {
    pub(super) fn set_option(
        &mut self,
        fd: Fd,
        level: i32,
        number: i32,
        value: &OptionValue,
        len: i64,
    ) -> Attempt {
        self.socket(fd)?;
        if *value == OptionValue::Null && len > 0 {
            return fail(errno::EFAULT);
        }
        let row = Row::find(level, number);
        if let Some(Row { set: Set::Value(set), .. }) = row {
            return set(self, fd, value, len);
        }
        let OptionValue::Int(value) = *value else {
            return unsupported(format!("{} with such a value", name_of(level, number)));
        };
        // Level IP takes bytes where the others want a whole int.
        let least = if level == abi::IPPROTO_IP { 1 } else { 4 };
        if len < least {
            return fail(errno::EINVAL);
        }
        let socket = self.socket(fd)?;
        if level == abi::IPPROTO_IPV6 && socket.family != abi::AF_INET6 {
            return fail(errno::ENOPROTOOPT);
        }
        match row.map(|row| &row.set) {
            Some(Set::Never) => return fail(errno::ENOPROTOOPT),
            Some(Set::Keep(range) | Set::Note(range, _) | Set::Tell(range, _))
                if !range.contains(&value) =>
            {
                return fail(errno::EINVAL);
            }
            Some(Set::Keep(_)) => drop(socket.options.kept.insert((level, number), value)),
            Some(Set::Note(_, note)) => note(&mut socket.options, value),
            Some(Set::Tell(_, note)) => {
                note(&mut socket.options, value);
                return self.tell_engine(fd);
            }
            Some(Set::Act(act)) => return act(self, fd, value),
            Some(Set::No | Set::Value(_)) | None => return unsupported(name_of(level, number)),
        }
        done(0)
    }

    pub(super) fn get_option(&mut self, fd: Fd, level: i32, number: i32, len: usize) -> Attempt {
        let options = &self.socket(fd)?.options;
        let value = match Row::find(level, number).map(|row| &row.get) {
            Some(Get::Kept(default)) => *options.kept.get(&(level, number)).unwrap_or(default),
            Some(Get::Noted(noted)) => noted(options),
            Some(Get::Ask(ask)) => ask(self, fd)?,
            Some(Get::Value(get)) => return done_with(0, get(self, fd, len)?),
            Some(Get::No) | None => return unsupported(name_of(level, number)),
        };
        done_with(0, Output::Int { value, len: len.min(4) })
    }
}
