//! What a script and the command line may choose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fourwave_core::{FastOpenKey, FastOpenKeys};
use fourwave_lens::suggest;

use crate::ast::{Body, Event, EventKind, Expr, ExprKind, OptionLine, Script, SeqSpec, Span};
use crate::lex::text::integer;

/// The key that packetdrill's own runners set: `profile`'s `tcp_fastopen_key`.
const TFO_KEY: FastOpenKey = *b"\xa1\xa1\xa1\xa1\xb2\xb2\xb2\xb2\xc3\xc3\xc3\xc3\xd4\xd4\xd4\xd4";

/// Which packetdrill's rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Found by the script itself.
    #[default]
    Auto,
    /// Google's.
    Linux,
    /// The one of the FreeBSD collection.
    Nplab,
}

/// Whose defaults, settings and numbers the engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Persona {
    /// FreeBSD's for scripts of its dialect, Linux's for all others.
    #[default]
    Auto,
    /// Linux.
    Linux,
    /// FreeBSD, as far as docs/drill.md says.
    FreeBsd,
}

/// What sockets and packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// IPv4 both.
    #[default]
    V4,
    /// IPv6 sockets, IPv4 packets.
    V4MappedV6,
    /// IPv6 both.
    V6,
}

/// The options of a run. [`Options::set`] is the command line's; [`Options::for_script`] adds the
/// lines of a script, which count only where the command line says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Rules of time and packets.
    pub dialect: Dialect,
    /// Whom the engine plays.
    pub persona: Persona,
    /// Family of sockets and packets.
    pub ip_version: IpVersion,
    /// Address of the stack under test; none is the family's default.
    pub local_ip: Option<IpAddr>,
    /// Address of the script's end; none is the family's default.
    pub remote_ip: Option<IpAddr>,
    /// The router's address (the real target needs one).
    pub gateway_ip: Option<IpAddr>,
    /// Length of the local network's prefix in bits.
    pub prefix_len: Option<u8>,
    /// Port of `bind(…, ..., ...)`.
    pub bind_port: u16,
    /// Port of `connect(…, ..., ...)`.
    pub connect_port: u16,
    /// MTU of the link in bytes; none is 1500.
    pub mtu: Option<u16>,
    /// Inbound packets with more payload reach a real stack as several of this size in one (GRO).
    pub mss: Option<u16>,
    /// Least tolerance of times, µs.
    pub tolerance_usecs: u64,
    /// Tolerance in percent of the gap since the event before.
    pub tolerance_percent: f64,
    /// Names that the script may use.
    pub defines: BTreeMap<String, String>,
    /// An inbound `ecr` that was never seen is scaled from the first one.
    pub tcp_ts_ecr_scaled: bool,
    /// Length of a tick of outbound timestamps in µs; 0: they are not checked.
    pub tcp_ts_tick_usecs: u64,
    /// Outbound packets are not joined.
    pub strict_segments: bool,
    /// How the stack cuts and acknowledges a stream is left free; see `loose.rs`.
    pub loose_segments: bool,
    /// Buffers of `send` are not reused at once.
    pub send_omit_free: bool,
    /// Commands to run before the script's own.
    pub init_scripts: Vec<String>,
    /// A packet that differs is a warning.
    pub non_fatal_packet: bool,
    /// A call that differs is a warning.
    pub non_fatal_syscall: bool,
    /// Speed of the link in Mbit/s; 0: as it comes.
    pub speed: u32,
    /// Packets left unread at the end are a failure.
    pub strict: bool,
    /// The secret of RFC 2385's digests.
    pub md5_secret: Option<Vec<u8>>,
    /// What comes in UDP may be TCP.
    pub udp_encapsulation: bool,
    given: BTreeSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            persona: Persona::default(),
            ip_version: IpVersion::default(),
            local_ip: None,
            remote_ip: None,
            gateway_ip: None,
            prefix_len: None,
            bind_port: 8080,
            connect_port: 8080,
            mtu: None,
            mss: None,
            tolerance_usecs: 4000,
            tolerance_percent: 12.5,
            defines: BTreeMap::new(),
            tcp_ts_ecr_scaled: false,
            tcp_ts_tick_usecs: 0,
            strict_segments: false,
            loose_segments: false,
            send_omit_free: false,
            init_scripts: Vec::new(),
            non_fatal_packet: false,
            non_fatal_syscall: false,
            speed: 0,
            strict: false,
            md5_secret: None,
            udp_encapsulation: false,
            given: BTreeSet::new(),
        }
    }
}

/// Every option by its name; what is not in [`Options`] changes nothing here.
const NAMES: &[&str] = &[
    "bind_port",
    "code_command",
    "code_format",
    "code_sockopt",
    "connect_port",
    "debug",
    "define",
    "dialect",
    "gateway_ip",
    "init_scripts",
    "ip_version",
    "is_anyip",
    "local_ip",
    "loose_segments",
    "mss",
    "mtu",
    "netmask_ip",
    "non_fatal",
    "persona",
    "psp_udp_port",
    "remote_ip",
    "send_omit_free",
    "speed",
    "strict",
    "strict_segments",
    "tcp_md5_secret",
    "tcp_ts_ecr_scaled",
    "tcp_ts_tick_usecs",
    "tolerance_percent",
    "tolerance_usecs",
    "udp_encapsulation",
    "verbose",
];

/// An option that does not exist or a value that it cannot have: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The line.
    pub message: String,
    /// Where, if it stands in the script.
    pub span: Option<Span>,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// Sets an option by its name (without dashes), as the command line does.
    ///
    /// # Errors
    /// An unknown name (with the nearest known one), or a value that it cannot have.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionError> {
        let name = if name == "D" { "define" } else { name };
        self.apply(name, value).map_err(|message| OptionError { message, span: None })?;
        self.given.insert(given_as(name, value));
        Ok(())
    }

    /// These options and the lines of `script` with them: what [`run`](crate::run::run) wants.
    ///
    /// # Errors
    /// As for [`set`](Self::set), with the place.
    pub fn for_script(&self, script: &Script) -> Result<Self, OptionError> {
        let mut all = self.clone();
        for OptionLine { name, value, span } in &script.options {
            let value = value.as_deref().map(str::trim);
            if !self.given.contains(&given_as(name, value)) {
                let failed = |message| OptionError { message, span: Some(*span) };
                all.apply(name, value).map_err(failed)?;
            }
        }
        if all.strict_segments && all.loose_segments {
            let message = "--strict_segments and --loose_segments contradict each other".to_owned();
            return Err(OptionError { message, span: None });
        }
        all.udp_encapsulation |= script.events.iter().any(in_udp);
        if all.dialect == Dialect::Auto {
            let nplab = all.persona == Persona::FreeBsd || is_nplab(script);
            all.dialect = if nplab { Dialect::Nplab } else { Dialect::Linux };
        }
        if all.persona == Persona::Auto {
            let nplab = all.dialect == Dialect::Nplab;
            all.persona = if nplab { Persona::FreeBsd } else { Persona::Linux };
        }
        let wrong = |ip: Option<IpAddr>| ip.is_some_and(|ip| ip.is_ipv6() != all.wire_is_ipv6());
        if wrong(all.local_ip) || wrong(all.remote_ip) || wrong(all.gateway_ip) {
            let message = "--local_ip, --remote_ip and --gateway_ip must be of --ip_version's \
                           family"
                .to_owned();
            return Err(OptionError { message, span: None });
        }
        Ok(all)
    }

    fn apply(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        if !NAMES.contains(&name) {
            let hint = suggest::nearest(name, NAMES.iter().copied());
            let hint = hint.map_or(String::new(), |near| format!("; did you mean --{near}?"));
            return Err(format!("unknown option --{name}{hint}"));
        }
        match name {
            "tcp_ts_ecr_scaled" => self.tcp_ts_ecr_scaled = flag(name, value)?,
            "strict_segments" => self.strict_segments = flag(name, value)?,
            "loose_segments" => self.loose_segments = flag(name, value)?,
            "send_omit_free" => self.send_omit_free = flag(name, value)?,
            "strict" => self.strict = flag(name, value)?,
            "debug" | "verbose" | "is_anyip" => {}
            _ => self.apply_valued(name, value.ok_or(format!("--{name} wants a value"))?)?,
        }
        Ok(())
    }

    fn apply_valued(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "ip_version" => self.ip_version = ip_version(value)?,
            "dialect" => self.dialect = dialect(value)?,
            "persona" => self.persona = persona(value)?,
            "local_ip" => self.local_ip = Some(address(name, value)?),
            "remote_ip" => self.remote_ip = Some(address(name, value)?),
            "gateway_ip" => self.gateway_ip = Some(address(name, value)?),
            "netmask_ip" => self.prefix_len = Some(prefix_len(name, value)?),
            "bind_port" => self.bind_port = port(name, value)?,
            "connect_port" => self.connect_port = port(name, value)?,
            "mtu" => self.mtu = Some(number(name, value, 68, u16::MAX)?),
            "tolerance_usecs" => self.tolerance_usecs = number(name, value, 1, 3_600_000_000)?,
            "tolerance_percent" => self.tolerance_percent = number(name, value, 0.0, 100.0)?,
            "tcp_ts_tick_usecs" => self.tcp_ts_tick_usecs = number(name, value, 0, 1_000_000)?,
            "mss" => self.mss = Some(number(name, value, 1, u16::MAX)?),
            "speed" => self.speed = number(name, value, 0, u32::MAX)?,
            "init_scripts" => {
                self.init_scripts = value.split(',').map(|one| one.trim().to_owned()).collect();
            }
            "non_fatal" => self.non_fatal(value)?,
            "define" => {
                let wanted = || format!("--define wants NAME=value, not {value:?}");
                let (name, value) = value.split_once('=').ok_or_else(wanted)?;
                let name = Some(name.trim()).filter(|name| is_name(name)).ok_or_else(wanted)?;
                self.defines.insert(name.to_owned(), value.trim().to_owned());
            }
            "tcp_md5_secret" => self.md5_secret = Some(value.as_bytes().to_vec()),
            "udp_encapsulation" => match value {
                "tcp" => self.udp_encapsulation = true,
                "sctp" => {}
                _ => return Err(format!("--udp_encapsulation is tcp or sctp, not {value:?}")),
            },
            // `code_*`, `psp_udp_port`: they concern packetdrill's own machinery.
            _ => {}
        }
        Ok(())
    }

    fn non_fatal(&mut self, value: &str) -> Result<(), String> {
        for kind in value.split([',', ' ']).filter(|kind| !kind.is_empty()) {
            match kind {
                "packet" => self.non_fatal_packet = true,
                "syscall" => self.non_fatal_syscall = true,
                _ => return Err(format!("--non_fatal takes packet and syscall, not {kind:?}")),
            }
        }
        Ok(())
    }

    /// Packets are IPv6.
    pub fn wire_is_ipv6(&self) -> bool {
        self.ip_version == IpVersion::V6
    }

    /// The stack's address in packets.
    pub fn local(&self) -> IpAddr {
        self.local_ip.unwrap_or(if self.wire_is_ipv6() {
            Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1).into()
        } else {
            Ipv4Addr::new(192, 168, 0, 1).into()
        })
    }

    /// The script's address in packets.
    pub fn remote(&self) -> IpAddr {
        self.remote_ip.unwrap_or(if self.wire_is_ipv6() {
            Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1).into()
        } else {
            Ipv4Addr::new(192, 0, 2, 1).into()
        })
    }

    /// The router's address.
    pub fn gateway(&self) -> IpAddr {
        self.gateway_ip.unwrap_or(if self.wire_is_ipv6() {
            Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0x8888, 0, 0, 0, 1).into()
        } else {
            Ipv4Addr::new(192, 168, 0, 1).into()
        })
    }

    /// Length of the local network's prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix_len.unwrap_or(if self.wire_is_ipv6() { 48 } else { 16 })
    }

    /// MTU of the link in bytes.
    pub fn link_mtu(&self) -> u16 {
        self.mtu.unwrap_or(1500)
    }

    /// What `...` means as a socket's domain.
    pub fn domain(&self) -> i32 {
        if self.ip_version == IpVersion::V4 { libc::AF_INET } else { libc::AF_INET6 }
    }

    /// What `bind(…, ..., ...)` means.
    pub fn bind_addr(&self) -> SocketAddr {
        SocketAddr::new(self.for_sockets(self.local()), self.bind_port)
    }

    /// What `connect(…, ..., ...)` means.
    pub fn connect_addr(&self) -> SocketAddr {
        SocketAddr::new(self.for_sockets(self.remote()), self.connect_port)
    }

    /// An address of packets as sockets see it.
    pub fn for_sockets(&self, ip: IpAddr) -> IpAddr {
        match (self.ip_version, ip) {
            (IpVersion::V4MappedV6, IpAddr::V4(ip)) => ip.to_ipv6_mapped().into(),
            _ => ip,
        }
    }

    /// What a name of `--define` means, or one that packetdrill's own runners define: the level
    /// and type of queued errors, and the Fast Open cookies of its two keys. Where FreeBSD was
    /// asked for, `#ifdef FreeBSD` holds.
    pub fn define(&self, name: &str) -> Option<String> {
        if let Some(value) = self.defines.get(name) {
            return Some(value.clone());
        }
        let v6_sockets = self.ip_version != IpVersion::V4;
        match name {
            "CMSG_LEVEL_IP" => Some(if v6_sockets { "SOL_IPV6" } else { "SOL_IP" }.to_owned()),
            "CMSG_TYPE_RECVERR" => {
                Some(if v6_sockets { "IPV6_RECVERR" } else { "IP_RECVERR" }.to_owned())
            }
            "FreeBSD" if self.persona == Persona::FreeBsd => Some("1".to_owned()),
            "TFO_COOKIE" => Some(self.cookie(TFO_KEY)),
            "TFO_COOKIE_ZERO" => Some(self.cookie([0; 16])),
            _ => None,
        }
    }

    /// The cookie that the script's address gets under a key.
    fn cookie(&self, primary: FastOpenKey) -> String {
        let keys = FastOpenKeys { primary, backup: None };
        let cookie = keys.cookie(self.remote(), self.local());
        format!("{:016x}", u64::from_be_bytes(cookie))
    }

    /// The value of an expression's name, if it is defined; a number or another name.
    pub(crate) fn defined(&self, name: &str, span: Span) -> Option<Expr> {
        let value = self.define(name)?;
        let kind = parse_int(&value).map_or_else(
            || match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(text) => ExprKind::Str(text.as_bytes().to_vec()),
                None => ExprKind::Name(value.clone()),
            },
            ExprKind::Int,
        );
        Some(Expr { kind, span })
    }
}

fn given_as(name: &str, value: Option<&str>) -> String {
    // Each name of --define is given by itself.
    let defined = value.and_then(|value| value.split_once('='));
    match defined {
        Some((defined, _)) if name == "define" => format!("define {}", defined.trim()),
        _ => name.to_owned(),
    }
}

/// A number as scripts write it, decimal or hexadecimal.
pub(crate) fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = integer(digits)?;
    Some(if negative { -value } else { value })
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("1" | "true") => Ok(true),
        Some("0" | "false") => Ok(false),
        Some(value) => Err(format!("--{name} takes no value, or 0 or 1; not {value:?}")),
    }
}

/// What the language can use as a name.
fn is_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(rest)
}

fn number<T>(name: &str, value: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + fmt::Display + Copy,
{
    let wanted = || format!("--{name} is a number from {least} to {most}, not {value:?}");
    let parsed: T = value.parse().map_err(|_| wanted())?;
    if parsed >= least && parsed <= most { Ok(parsed) } else { Err(wanted()) }
}

fn port(name: &str, value: &str) -> Result<u16, String> {
    number(name, value, 1, u16::MAX)
}

fn ip_version(value: &str) -> Result<IpVersion, String> {
    match value {
        "ipv4" => Ok(IpVersion::V4),
        "ipv4-mapped-ipv6" => Ok(IpVersion::V4MappedV6),
        "ipv6" => Ok(IpVersion::V6),
        _ => Err(format!("--ip_version is ipv4, ipv4-mapped-ipv6 or ipv6, not {value:?}")),
    }
}

fn dialect(value: &str) -> Result<Dialect, String> {
    match value {
        "auto" => Ok(Dialect::Auto),
        "linux" | "google" => Ok(Dialect::Linux),
        "nplab" => Ok(Dialect::Nplab),
        _ => Err(format!("--dialect is auto, linux or nplab, not {value:?}")),
    }
}

fn persona(value: &str) -> Result<Persona, String> {
    match value {
        "auto" => Ok(Persona::Auto),
        "linux" => Ok(Persona::Linux),
        "freebsd" => Ok(Persona::FreeBsd),
        _ => Err(format!("--persona is auto, linux or freebsd, not {value:?}")),
    }
}

fn address(name: &str, value: &str) -> Result<IpAddr, String> {
    // `--remote_ip=192.0.2.1/24` names the network too.
    let ip = value.split('/').next().unwrap_or(value);
    ip.parse().map_err(|_| format!("--{name} is an IP address, not {value:?}"))
}

fn prefix_len(name: &str, value: &str) -> Result<u8, String> {
    let wanted = || format!("--{name} is a mask such as 255.255.0.0, not {value:?}");
    let mask: Ipv4Addr = value.parse().map_err(|_| wanted())?;
    let bits = u32::from(mask);
    if bits.leading_ones() + bits.trailing_zeros() < 32 {
        return Err(wanted());
    }
    Ok(bits.leading_ones() as u8)
}

/// A packet of the event is TCP in UDP.
fn in_udp(event: &Event) -> bool {
    matches!(&event.kind, EventKind::Packet(packet)
        if matches!(&packet.body, Body::Tcp(tcp) if tcp.encapsulation.is_some()))
}

/// Something in the script is said only in the nplab dialect.
fn is_nplab(script: &Script) -> bool {
    const OPTIONS: [&str; 2] = ["tcp_md5_secret", "udp_encapsulation"];
    const COMMANDS: [&str; 4] = ["net.inet.", "kldload", "sockstat", "tcpdrop"];
    let says = |text: &str| COMMANDS.iter().any(|word| text.contains(word));
    let commands = script.init.iter().chain(script.cleanup.iter());
    script.options.iter().any(|line| OPTIONS.contains(&line.name.as_str()))
        || commands.map(|command| command.text.as_str()).any(says)
        || script.events.iter().any(|event| match &event.kind {
            EventKind::Command(command) => says(&command.text),
            EventKind::Packet(packet) => match &packet.body {
                Body::Tcp(tcp) => {
                    let odd = matches!(
                        tcp.seq,
                        SeqSpec::Range { absolute: true, .. } | SeqSpec::Unchecked { .. }
                    );
                    odd || tcp.encapsulation.is_some()
                }
                _ => false,
            },
            _ => false,
        })
}
