//! Linux's numbers for x86-64, as far as the virtual target knows what they mean.

/// Declares numbers of one type.
macro_rules! numbers {
    ($kind:ty: $($name:ident = $value:expr),* $(,)?) => {
        $(pub(crate) const $name: $kind = $value;)*
    };
}

/// Errors.
pub(super) mod errno {
    numbers! { i32:
        ENOENT = 2, EBADF = 9, EAGAIN = 11, EFAULT = 14, EEXIST = 17, EINVAL = 22,
        EPERM = 1, EACCES = 13, EPIPE = 32, EDOM = 33, EPROTO = 71, ENOTSOCK = 88,
        EMSGSIZE = 90, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93,
        EOPNOTSUPP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98,
        EADDRNOTAVAIL = 99, ENETUNREACH = 101, ECONNABORTED = 103, ECONNRESET = 104,
        EISCONN = 106, ENOTCONN = 107, ETIMEDOUT = 110, ECONNREFUSED = 111,
        EHOSTDOWN = 112, EHOSTUNREACH = 113, EALREADY = 114, EINPROGRESS = 115, ENONET = 64,
        ENOMSG = 42,
    }
}

numbers! { i32:
    AF_INET = 2, AF_INET6 = 10,
    SOCK_STREAM = 1, SOCK_KIND = 0xf, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000,
    IPPROTO_IP = 0, IPPROTO_TCP = 6, IPPROTO_IPV6 = 41, SOL_SOCKET = 1,
    O_ACCMODE = 3, O_RDONLY = 0, O_RDWR = 2, O_NONBLOCK = 0o4000,
    F_GETFD = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4,
    SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2,
}

/// Flags of the calls that send and receive.
pub(super) mod msg {
    numbers! { i32:
        OOB = 1, PEEK = 2, TRUNC = 0x20, DONTWAIT = 0x40, EOR = 0x80, WAITALL = 0x100,
        ERRQUEUE = 0x2000, NOSIGNAL = 0x4000, MORE = 0x8000, ZEROCOPY = 0x400_0000,
        FASTOPEN = 0x2000_0000, CMSG_CLOEXEC = 0x4000_0000,
    }
}

/// Events of poll and epoll.
pub(super) mod event {
    numbers! { u32:
        IN = 1, OUT = 4, ERR = 8, HUP = 0x10, NVAL = 0x20, RDNORM = 0x40,
        WRNORM = 0x100, WRBAND = 0x200, RDHUP = 0x2000, EXCLUSIVE = 1 << 28, WAKEUP = 1 << 29,
        ONESHOT = 1 << 30, ET = 1 << 31,
    }
}

numbers! { i32: EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3 }
numbers! { u64: FIONREAD = 0x541b, SIOCOUTQ = 0x5411, SIOCOUTQNSD = 0x894b, FIONBIO = 0x5421 }

/// `SO_TIMESTAMPING`'s flags and what its messages say.
pub(super) mod stamp {
    numbers! { u32:
        TX_SOFTWARE = 1 << 1, SOFTWARE = 1 << 4, OPT_ID = 1 << 7, TX_SCHED = 1 << 8,
        TX_ACK = 1 << 9, OPT_TSONLY = 1 << 11, OPT_ID_TCP = 1 << 16,
        SND = 0, SCHED = 1, ACK = 2,
    }
    numbers! { i32: SCM = 37 }
}

numbers! { u8: EE_ORIGIN_TIMESTAMPING = 4, EE_ORIGIN_ZEROCOPY = 5, EE_ZEROCOPY_COPIED = 1 }
