//! packetdrill's own options, `--name=value`, as they may stand in a script too.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// Name, what its value is called (none: it may stand alone), meaning.
const OPTIONS: [(&str, Option<&str>, &str); 27] = [
    ("ip_version", Some("VERSION"), "ipv4, ipv4-mapped-ipv6 or ipv6"),
    ("local_ip", Some("ADDRESS"), "Address of the stack under test"),
    ("remote_ip", Some("ADDRESS"), "Address of the script's end"),
    ("gateway_ip", Some("ADDRESS"), "Address of the router"),
    ("netmask_ip", Some("MASK"), "The local network's mask"),
    ("bind_port", Some("PORT"), "Port of `bind(…, ..., ...)`"),
    ("connect_port", Some("PORT"), "Port of `connect(…, ..., ...)`"),
    ("mtu", Some("BYTES"), "MTU of the link"),
    ("mss", Some("BYTES"), "Changes nothing here"),
    ("speed", Some("MBIT"), "Speed of the link"),
    ("tolerance_usecs", Some("USECS"), "Least tolerance of times"),
    ("tolerance_percent", Some("PERCENT"), "Tolerance, of the gap since the event before"),
    ("tcp_ts_tick_usecs", Some("USECS"), "Length of a tick of timestamps; checks their values"),
    ("tcp_ts_ecr_scaled", None, "Count echoed timestamps from the first one"),
    ("strict_segments", None, "Do not join segments"),
    ("loose_segments", None, "Leave free how streams are cut and acknowledged (not packetdrill's)"),
    ("non_fatal", Some("KINDS"), "packet, syscall: differences in these are warnings"),
    ("init_scripts", Some("FILES"), "Commands before the script's own"),
    ("send_omit_free", None, "Keep buffers that were sent"),
    ("tcp_md5_secret", Some("TEXT"), "Secret of MD5 digests"),
    ("udp_encapsulation", Some("A:B"), "UDP ports that TCP is carried in"),
    ("is_anyip", None, "Changes nothing here"),
    ("debug", None, "Changes nothing here"),
    ("verbose", None, "Changes nothing here"),
    ("code_command", Some("COMMAND"), "Changes nothing here"),
    ("code_format", Some("FORMAT"), "Changes nothing here"),
    ("code_sockopt", Some("NAME"), "Changes nothing here"),
];

/// Those that the command line gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptOptions {
    /// Names and values, in the order of [`OPTIONS`].
    pub(crate) given: Vec<(String, Option<String>)>,
}

impl Args for ScriptOptions {
    fn augment_args(command: Command) -> Command {
        OPTIONS.iter().fold(command, |command, &(name, value, help)| {
            let arg = Arg::new(name).long(name).help(help).require_equals(true);
            let arg = arg.action(ArgAction::Append).help_heading("packetdrill's options");
            command.arg(match value {
                Some(value) => arg.value_name(value).hide(help.starts_with("Changes nothing")),
                None => arg
                    .num_args(0..=1)
                    .default_missing_value("")
                    .value_name("BOOL")
                    .hide(help.starts_with("Changes nothing")),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ScriptOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (name, ..) in OPTIONS {
            for value in matches.get_many::<String>(name).into_iter().flatten() {
                let value = (!value.is_empty()).then(|| value.clone());
                given.push((name.to_owned(), value));
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourwave_drill::run::Options;

    #[test]
    fn each_is_known_to_scripts_too() {
        for (name, value, _) in OPTIONS {
            let error = Options::default().set(name, value.map(|_| "?")).err();
            let line = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(!line.contains("unknown option"), "{line}");
        }
    }
}
