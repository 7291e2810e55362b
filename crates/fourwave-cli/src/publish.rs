//! `-p [ADDR:]HOST:PORT`.

use std::net::IpAddr;

use fourwave_gateway::run::Publish;

/// Reads `8080:80`, `127.0.0.1:8080:80` or `[::1]:8080:80`.
pub(crate) fn parse_publish(text: &str) -> Result<Publish, String> {
    let (rest, inside) = text.rsplit_once(':').ok_or_else(shape)?;
    let (address, host) = match rest.rsplit_once(':') {
        None => (None, rest),
        Some((address, host)) => (Some(parse_address(address)?), host),
    };
    Ok(Publish { address, host_port: parse_port(host)?, port: parse_port(inside)? })
}

fn shape() -> String {
    "it takes HOST-PORT:PORT or ADDRESS:HOST-PORT:PORT, such as 8080:80 or [::1]:8080:80".into()
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match bracketed {
        Some(v6) => v6.parse().map(IpAddr::V6).ok(),
        None => text.parse().map(IpAddr::V4).ok(),
    };
    address.ok_or_else(|| {
        if text.parse::<IpAddr>().is_ok() || text.contains(':') && bracketed.is_none() {
            format!("an IPv6 address stands in brackets: [{text}]")
        } else {
            format!("{text:?} is no IP address")
        }
    })
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no port: 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let publish = |address: Option<&str>| Publish {
            address: address.map(|a| a.parse().unwrap()),
            host_port: 8080,
            port: 80,
        };
        assert_eq!(parse_publish("8080:80"), Ok(publish(None)));
        assert_eq!(parse_publish("127.0.0.1:8080:80"), Ok(publish(Some("127.0.0.1"))));
        assert_eq!(parse_publish("[::1]:8080:80"), Ok(publish(Some("::1"))));
        assert_eq!(parse_publish("[fe80::1:2]:8080:80"), Ok(publish(Some("fe80::1:2"))));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("80", "ADDRESS:HOST-PORT:PORT"),
            ("", "ADDRESS:HOST-PORT:PORT"),
            ("0:80", "\"0\" is no port"),
            ("8080:65536", "\"65536\" is no port"),
            ("8080:", "\"\" is no port"),
            ("::1:8080:80", "brackets: [::1]"),
            ("[127.0.0.1]:8080:80", "no IP address"),
            ("localhost:8080:80", "\"localhost\" is no IP address"),
            ("[::1:8080:80", "brackets"),
            ("+80:80x", "no port"),
        ] {
            let error = parse_publish(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
