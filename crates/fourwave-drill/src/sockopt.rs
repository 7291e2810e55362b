//! Socket options: one table of names, levels, numbers and kinds of value, for scripts and for
//! both targets.

/// How the value of an option lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number, by its length: 1, 2, 4 or 8 bytes; of any other length it is bytes.
    Number,
    /// `struct linger`.
    Linger,
    /// `struct timeval`.
    Time,
    /// A text that ends with a zero byte.
    Name,
    /// Bytes as they are.
    Bytes,
}

/// A socket option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sockopt {
    pub(crate) name: &'static str,
    pub(crate) level: i32,
    pub(crate) number: i32,
    pub(crate) kind: Kind,
}

/// Numbers of levels and options, where the libc crate lacks them from Linux's uapi headers.
mod number {
    pub(super) use libc::*;

    // linux/in.h
    pub(super) const IP_LOCAL_PORT_RANGE: i32 = 51;
    // linux/tcp.h
    pub(super) const TCP_TX_DELAY: i32 = 37;
    pub(super) const TCP_RTO_MAX_MS: i32 = 44;
    pub(super) const TCP_RTO_MIN_US: i32 = 45;
    pub(super) const TCP_DELACK_MAX_US: i32 = 46;
    // FreeBSD's, where Linux has other options: by numbers that neither has.
    pub(super) const TCP_KEEPINIT: i32 = 0x4_0080;
    pub(super) const TCP_NOOPT: i32 = 0x4_0008;
}

/// Declares each option by its name, and [`ALL`] of them.
macro_rules! options {
    ($($level:ident { $($kind:ident: $($name:ident)*;)* })*) => {
        $($($(
            pub(crate) const $name: Sockopt = Sockopt {
                name: stringify!($name),
                level: number::$level,
                number: number::$name,
                kind: Kind::$kind,
            };
        )*)*)*
        /// Every option that a script may write by name.
        pub(crate) const ALL: &[Sockopt] = &[$($($($name),*),*),*];
    };
}

options! {
    SOL_SOCKET {
        Number: SO_ACCEPTCONN SO_ATTACH_FILTER SO_BINDTODEVICE SO_BROADCAST SO_BUSY_POLL SO_DEBUG
            SO_DETACH_FILTER SO_DOMAIN SO_DONTROUTE SO_ERROR SO_INCOMING_CPU SO_KEEPALIVE
            SO_LOCK_FILTER SO_MARK SO_MAX_PACING_RATE SO_OOBINLINE SO_PASSCRED SO_PRIORITY
            SO_PROTOCOL SO_RCVBUF SO_RCVBUFFORCE SO_RCVLOWAT SO_REUSEADDR SO_REUSEPORT SO_RXQ_OVFL
            SO_SNDBUF SO_SNDBUFFORCE SO_SNDLOWAT SO_TIMESTAMP SO_TIMESTAMPING SO_TIMESTAMPNS
            SO_TXTIME SO_TYPE SO_ZEROCOPY;
        Linger: SO_LINGER;
        Time: SO_RCVTIMEO SO_SNDTIMEO;
    }
    SOL_TCP {
        Number: TCP_CORK TCP_DEFER_ACCEPT TCP_DELACK_MAX_US TCP_FASTOPEN TCP_FASTOPEN_CONNECT
            TCP_FASTOPEN_NO_COOKIE TCP_INQ TCP_KEEPCNT TCP_KEEPIDLE TCP_KEEPINIT TCP_KEEPINTVL
            TCP_LINGER2 TCP_MAXSEG TCP_MD5SIG TCP_NODELAY TCP_NOOPT TCP_NOTSENT_LOWAT TCP_QUEUE_SEQ
            TCP_QUICKACK TCP_REPAIR TCP_REPAIR_OPTIONS TCP_REPAIR_QUEUE TCP_RTO_MAX_MS
            TCP_RTO_MIN_US TCP_SAVED_SYN TCP_SAVE_SYN TCP_SYNCNT TCP_THIN_DUPACK
            TCP_THIN_LINEAR_TIMEOUTS TCP_TIMESTAMP TCP_TX_DELAY TCP_USER_TIMEOUT TCP_WINDOW_CLAMP
            TCP_ZEROCOPY_RECEIVE;
        Name: TCP_CONGESTION TCP_ULP;
        Bytes: TCP_FASTOPEN_KEY TCP_INFO;
    }
    SOL_UDP {
        Number: UDP_CORK UDP_ENCAP UDP_GRO UDP_SEGMENT;
    }
    SOL_IP {
        Number: IP_BIND_ADDRESS_NO_PORT IP_FREEBIND IP_LOCAL_PORT_RANGE IP_MTU IP_MTU_DISCOVER
            IP_RECVERR IP_RECVTOS IP_RECVTTL IP_TOS IP_TRANSPARENT IP_TTL;
    }
    SOL_IPV6 {
        Number: IPV6_DONTFRAG IPV6_FREEBIND IPV6_HOPLIMIT IPV6_MTU IPV6_MTU_DISCOVER IPV6_RECVERR
            IPV6_RECVHOPLIMIT IPV6_RECVTCLASS IPV6_TCLASS IPV6_UNICAST_HOPS IPV6_V6ONLY;
    }
}

/// The option of a level by its number. O(options).
pub(crate) fn find(level: i32, number: i32) -> Option<Sockopt> {
    ALL.iter().find(|option| option.level == level && option.number == number).copied()
}

/// An option's name for messages; level and number where it has none. O(options).
pub(crate) fn name_of(level: i32, number: i32) -> String {
    find(level, number).map_or_else(
        || format!("socket option {number} of level {level}"),
        |option| option.name.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_option_is_named_by_its_level_and_number() {
        for option in ["SO_LINGER", "SO_TIMESTAMP", "SO_OOBINLINE", "TCP_INQ", "TCP_WINDOW_CLAMP"] {
            let known = ALL.iter().find(|known| known.name == option).unwrap();
            assert_eq!(name_of(known.level, known.number), option);
        }
        assert_eq!(name_of(libc::SOL_TCP, 44), "TCP_RTO_MAX_MS");
        assert_eq!(name_of(libc::SOL_TCP, 24), "TCP_TIMESTAMP");
        assert_eq!(name_of(libc::SOL_IP, libc::IP_TTL), "IP_TTL");
        assert_eq!(name_of(libc::SOL_IPV6, libc::IPV6_RECVERR), "IPV6_RECVERR");
        assert_eq!(name_of(libc::SOL_IP, 9999), "socket option 9999 of level 0");
    }

    #[test]
    fn no_two_options_are_the_same() {
        let names: BTreeSet<_> = ALL.iter().map(|option| option.name).collect();
        let numbers: BTreeSet<_> = ALL.iter().map(|option| (option.level, option.number)).collect();
        assert_eq!((names.len(), numbers.len()), (ALL.len(), ALL.len()));
    }
}
