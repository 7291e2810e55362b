//! Linux's constants by their names.

use fourwave_lens::suggest;

use crate::sockopt;

/// One constant: its name and number.
type Symbol = (&'static str, i64);

macro_rules! from_libc {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name as i64)),*] };
}

/// What a script may write by name, but for socket options ([`sockopt`]) and errors.
const CONSTANTS: &[Symbol] = from_libc! {
    AF_INET AF_INET6 AF_UNSPEC AF_UNIX PF_INET PF_INET6
    SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET SOCK_NONBLOCK SOCK_CLOEXEC
    IPPROTO_IP IPPROTO_IPV6 IPPROTO_TCP IPPROTO_UDP IPPROTO_ICMP IPPROTO_ICMPV6 IPPROTO_UDPLITE
    IPPROTO_MPTCP IPPROTO_SCTP INADDR_ANY INADDR_LOOPBACK
    SOL_SOCKET SOL_IP SOL_IPV6 SOL_TCP SOL_UDP
    TCP_CM_INQ
    IP_PMTUDISC_DO IP_PMTUDISC_DONT IP_PMTUDISC_INTERFACE IP_PMTUDISC_OMIT IP_PMTUDISC_PROBE
    IP_PMTUDISC_WANT
    MSG_CMSG_CLOEXEC MSG_CONFIRM MSG_CTRUNC MSG_DONTROUTE MSG_DONTWAIT MSG_EOR MSG_ERRQUEUE
    MSG_FASTOPEN MSG_FIN MSG_MORE MSG_NOSIGNAL MSG_OOB MSG_PEEK MSG_RST MSG_SYN MSG_TRUNC
    MSG_WAITALL MSG_WAITFORONE MSG_ZEROCOPY
    F_DUPFD F_GETFD F_GETFL F_SETFD F_SETFL FD_CLOEXEC
    O_APPEND O_CLOEXEC O_CREAT O_EXCL O_LARGEFILE O_NONBLOCK O_RDONLY O_RDWR O_TRUNC O_WRONLY
    FIONBIO FIONREAD SIOCOUTQNSD
    SHUT_RD SHUT_RDWR SHUT_WR
    POLLERR POLLHUP POLLIN POLLNVAL POLLOUT POLLPRI POLLRDBAND POLLRDHUP POLLRDNORM
    POLLWRBAND POLLWRNORM
    EPOLLERR EPOLLET EPOLLEXCLUSIVE EPOLLHUP EPOLLIN EPOLLMSG EPOLLONESHOT EPOLLOUT EPOLLPRI
    EPOLLRDBAND EPOLLRDHUP EPOLLRDNORM EPOLLWAKEUP EPOLLWRBAND EPOLLWRNORM EPOLL_CLOEXEC
    EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD
    SPLICE_F_GIFT SPLICE_F_MORE SPLICE_F_MOVE SPLICE_F_NONBLOCK
    SCM_TIMESTAMP SCM_TIMESTAMPING SCM_TIMESTAMPNS
    SOF_TIMESTAMPING_OPT_CMSG SOF_TIMESTAMPING_OPT_ID SOF_TIMESTAMPING_OPT_ID_TCP
    SOF_TIMESTAMPING_OPT_STATS SOF_TIMESTAMPING_OPT_TSONLY SOF_TIMESTAMPING_RAW_HARDWARE
    SOF_TIMESTAMPING_RX_HARDWARE SOF_TIMESTAMPING_RX_SOFTWARE SOF_TIMESTAMPING_SOFTWARE
    SOF_TIMESTAMPING_SYS_HARDWARE SOF_TIMESTAMPING_TX_ACK SOF_TIMESTAMPING_TX_HARDWARE
    SOF_TIMESTAMPING_TX_SCHED SOF_TIMESTAMPING_TX_SOFTWARE
    SO_EE_ORIGIN_ICMP SO_EE_ORIGIN_ICMP6 SO_EE_ORIGIN_LOCAL SO_EE_ORIGIN_NONE
    SO_EE_ORIGIN_TIMESTAMPING
};

/// From Linux's uapi headers, where the libc crate does not have them.
const MORE: &[Symbol] = &[
    ("NULL", 0),
    // linux/sockios.h
    ("SIOCINQ", libc::FIONREAD as i64),
    ("SIOCOUTQ", libc::TIOCOUTQ as i64),
    // linux/errqueue.h
    ("SO_EE_ORIGIN_ZEROCOPY", 5),
    ("SO_EE_ORIGIN_TXTIME", 6),
    ("SO_EE_ORIGIN_TXSTATUS", 4),
    ("SO_EE_CODE_ZEROCOPY_COPIED", 1),
    ("SCM_TSTAMP_SND", 0),
    ("SCM_TSTAMP_SCHED", 1),
    ("SCM_TSTAMP_ACK", 2),
    // linux/socket.h
    ("MSG_BATCH", 0x40000),
    ("MSG_SPLICE_PAGES", 0x0800_0000),
];

/// What `%{ }%` may use besides: linux/tcp.h's names for what TCP_INFO holds.
const FACTS: &[Symbol] = &[
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_NEW_SYN_RECV", 12),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    // FreeBSD's numbers of states (netinet/tcp_fsm.h), by both names that scripts have for them.
    ("TCPI_CLOSED", 0),
    ("TCPI_LISTEN", 1),
    ("TCPI_SYN_SENT", 2),
    ("TCPI_SYN_RECEIVED", 3),
    ("TCPI_ESTABLISHED", 4),
    ("TCPI_CLOSE_WAIT", 5),
    ("TCPI_FIN_WAIT_1", 6),
    ("TCPI_CLOSING", 7),
    ("TCPI_LAST_ACK", 8),
    ("TCPI_FIN_WAIT_2", 9),
    ("TCPI_TIME_WAIT", 10),
    ("TCPS_CLOSED", 0),
    ("TCPS_LISTEN", 1),
    ("TCPS_SYN_SENT", 2),
    ("TCPS_SYN_RECEIVED", 3),
    ("TCPS_ESTABLISHED", 4),
    ("TCPS_CLOSE_WAIT", 5),
    ("TCPS_FIN_WAIT_1", 6),
    ("TCPS_CLOSING", 7),
    ("TCPS_LAST_ACK", 8),
    ("TCPS_FIN_WAIT_2", 9),
    ("TCPS_TIME_WAIT", 10),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCPI_OPT_USEC_TS", 64),
    ("TCPI_OPT_TFO_CHILD", 128),
    ("TCPI_OPT_TFO", 32),
];

/// Numbers of errors.
const ERRORS: &[Symbol] = from_libc! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE
    EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOSYS ENOMSG ENODATA ETIME EPROTO
    EBADMSG EOVERFLOW EILSEQ EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT
    EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN
    ENOTCONN ESHUTDOWN ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS
    ESTALE ECANCELED
    EWOULDBLOCK ENOTSUP
};

fn find(table: &[Symbol], name: &str) -> Option<i64> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The number of a constant of system calls, errors included. O(names).
pub fn constant(name: &str) -> Option<i64> {
    let option = || sockopt::ALL.iter().find(|option| option.name == name);
    let known = [CONSTANTS, MORE, ERRORS].into_iter().find_map(|table| find(table, name));
    known.or_else(|| option().map(|option| option.number.into()))
}

/// The number of a constant that code between `%{` and `}%` may use. O(names).
pub fn fact(name: &str) -> Option<i64> {
    find(FACTS, name)
}

/// The number of an error. O(names).
pub fn errno(name: &str) -> Option<i32> {
    find(ERRORS, name).and_then(|number| i32::try_from(number).ok())
}

/// The name of an error; the number in digits where it has none. O(names).
pub fn errno_name(number: i32) -> String {
    let found = ERRORS.iter().find(|(_, known)| *known == i64::from(number));
    found.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// The names of flags whose name begins with `prefix`, joined by `|`; what has no name follows in
/// hexadecimal, and nothing at all is `0`. O(names).
pub fn flag_names(prefix: &str, bits: i64) -> String {
    let mut rest = bits;
    let mut names = Vec::new();
    for (name, value) in CONSTANTS.iter().chain(MORE) {
        if name.starts_with(prefix) && *value != 0 && rest & value == *value {
            names.push((*name).to_owned());
            rest &= !value;
        }
    }
    if rest != 0 || names.is_empty() {
        names.push(if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") });
    }
    names.join("|")
}

/// The known name that is nearest to `name`, if one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names = CONSTANTS.iter().chain(MORE).chain(ERRORS).chain(FACTS).map(|(known, _)| *known);
    suggest::nearest(name, sockopt::ALL.iter().map(|option| option.name).chain(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_x86_64() {
        assert_eq!(constant("SO_REUSEADDR"), Some(2));
        assert_eq!(constant("TCP_NOTSENT_LOWAT"), Some(25));
        assert_eq!(constant("SIOCINQ"), Some(0x541b));
        assert_eq!(constant("ECONNRESET"), Some(104));
        assert_eq!(constant("TCP_CLOSE"), None);
        assert_eq!(fact("TCP_CLOSE"), Some(7));
        assert_eq!(errno("EAGAIN"), errno("EWOULDBLOCK"));
        assert_eq!(errno_name(11), "EAGAIN");
        assert_eq!(errno_name(9999), "9999");
        assert_eq!(nearest("SO_REUSEADR"), Some("SO_REUSEADDR"));
        assert_eq!(nearest("nothing like any of them"), None);
    }

    #[test]
    fn flags_in_words() {
        assert_eq!(flag_names("EPOLL", 0x19), "EPOLLERR|EPOLLHUP|EPOLLIN");
        assert_eq!(flag_names("POLL", 0), "0");
        assert_eq!(flag_names("MSG_", 0x2000), "MSG_ERRQUEUE");
    }
}
