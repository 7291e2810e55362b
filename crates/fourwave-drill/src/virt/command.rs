//! The shell commands of scripts that mean something here; any other one is refused by name.

use crate::profile;
use fourwave_core::state::State;

use super::Virtual;
use super::file::File;
use super::freebsd;
use crate::lex::shell;
use crate::target::Refusal;

/// Where Linux keeps sysctls as files.
const SYSCTLS: &str = "/proc/sys/";

impl Virtual {
    /// Does a command of several lines.
    pub(super) fn run_command(&mut self, command: &str) -> Result<(), Refusal> {
        for line in shell::commands(command) {
            self.run_alternatives(&line)?;
        }
        self.configure();
        Ok(())
    }

    /// `a || b`: the first that can be done.
    fn run_alternatives(&mut self, line: &str) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        for alternative in line.split("||") {
            outcome = self.run_line(alternative.trim());
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn run_line(&mut self, line: &str) -> Result<(), Refusal> {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((&program, rest)) = words.split_first() else { return Ok(()) };
        let refuse = || Refusal::Unsupported(format!("the command `{line}`"));
        match (program.rsplit('/').next().unwrap_or(program), rest) {
            ("defaults.sh", []) => {
                // Google's spelling of it lets every listener take part in Fast Open.
                let every = program != "./defaults.sh";
                self.sysctls.select_profile(if every { profile::FAST_OPEN } else { "0x3" });
                Ok(())
            }
            ("sysctl", settings) => self.set_all(settings, line),
            ("set_sysctls.py", settings) => self.set_all(settings, line),
            // Each script has an engine of its own: nothing is left to restore or to flush.
            (name, []) if name.starts_with("sysctl_restore_") => Ok(()),
            ("ip", ["tcp_metrics", "flush", ..]) => {
                self.engine.forget_cookies();
                Ok(())
            }
            ("ip", ["-4" | "-6", "route", rest @ ..] | ["route", rest @ ..]) => {
                self.route(rest).ok_or_else(refuse)
            }
            ("echo", [value @ .., ">", path]) if path.starts_with(SYSCTLS) => {
                let name = path.trim_start_matches(SYSCTLS);
                self.sysctls.set(name, &value.join(" "))
            }
            ("nstat", _) => self.nstat(line).unwrap_or_else(|| Err(refuse())),
            ("true" | ":" | "sync", []) => Ok(()),
            ("tc", ["qdisc", _, "dev", _, "root", "pfifo" | "fq"]) => Ok(()),
            ("tc", ["qdisc", "del" | "delete", "dev", _, "root"]) => Ok(()),
            ("tc", ["qdisc", "del" | "delete", "dev", _, "root", "2>/dev/null"]) => Ok(()),
            ("ethtool", ["-K", _, offloads @ ..]) if only_offloads(offloads) => Ok(()),
            ("rm", ["-f", path]) => {
                self.sysctls.scratch.remove(*path);
                Ok(())
            }
            ("dd", arguments) => self.make_file(arguments).ok_or_else(refuse),
            ("sockstat", _) => self.count_sockets(line).unwrap_or_else(|| Err(refuse())),
            ("tcpdrop", ["-s", "TIME_WAIT"]) => {
                self.engine.drop_time_waits();
                self.gone.forget_time_waits();
                Ok(())
            }
            _ => Err(refuse()),
        }
    }

    /// `change default dev tun0 initcwnd N`: of the only route, the metric that means something.
    fn route(&mut self, words: &[&str]) -> Option<()> {
        let ["change" | "replace", "default", "dev", "tun0", "initcwnd", segments] = words else {
            return None;
        };
        self.sysctls.config.set("tcp_init_cwnd", segments).ok()
    }

    /// `name=value …` behind a program's switches.
    fn set_all(&mut self, words: &[&str], line: &str) -> Result<(), Refusal> {
        for word in words {
            if word.starts_with('-') {
                continue;
            }
            if matches!(*word, ">" | "&>" | "2>" | "/dev/null" | "2>&1") {
                continue;
            }
            let Some((name, value)) = word.split_once('=') else {
                return Err(Refusal::Unsupported(format!("the command `{line}`")));
            };
            let name = name.strip_prefix(SYSCTLS).unwrap_or(name);
            self.sysctls.set(name, value)?;
        }
        Ok(())
    }

    /// `dd bs=1 count=5 if=/dev/zero of=PATH`.
    fn make_file(&mut self, arguments: &[&str]) -> Option<()> {
        let value = |name: &str| arguments.iter().find_map(|a| a.strip_prefix(name));
        let block: usize = value("bs=").unwrap_or("512").parse().ok()?;
        let count: usize = value("count=")?.parse().ok()?;
        let path = value("of=")?;
        self.sysctls.scratch.insert(path.to_owned(), block.checked_mul(count)?);
        Some(())
    }

    /// `sockstat … | grep -c STATE | grep N`: so many connections are in this state.
    fn count_sockets(&self, line: &str) -> Option<Result<(), Refusal>> {
        let mut stages =
            line.split('|').map(str::trim).skip(1).filter(|stage| *stage != "grep packetdril");
        let state = stages.next()?.strip_prefix("grep -c ")?.trim_matches(['"', '\'']);
        let wanted = stages.next()?.strip_prefix("grep ")?.trim_start_matches("-q ");
        let wanted: usize = wanted.trim_matches(['"', '\'', ' ', '^', '$']).parse().ok()?;
        let state = freebsd::STATES.iter().find(|(name, _)| *name == state)?.1;
        let count = self.in_state(state);
        Some(if count == wanted {
            Ok(())
        } else {
            Err(Refusal::Failed(format!("{count} connections are in {state}, not {wanted}")))
        })
    }

    fn in_state(&self, state: State) -> usize {
        let mut half_open = 0;
        if state == State::TimeWait {
            return self.engine.population().time_wait;
        }
        if state == State::SynReceived {
            // Those of listeners have no socket yet.
            half_open = self.engine.population().half_open;
        }
        let sockets = self.files.values().filter(|file| match file {
            File::Socket(socket) => self.state_of(socket.phase) == state,
            _ => false,
        });
        half_open
            + sockets.count()
            + self.engine.orphan_states().filter(|&orphan| orphan == state).count()
    }

    /// `nstat [-n] [-s] | grep NAME | grep -q " N "`: what was counted since the last one that
    /// kept its figures (`-s` does not). None where it asks for more.
    fn nstat(&mut self, line: &str) -> Option<Result<(), Refusal>> {
        let line =
            line.strip_suffix("/dev/null").map_or(line, |line| line.trim_end_matches([' ', '>']));
        let (nstat, filters) = line.split_once('|').unwrap_or((line, ""));
        let (mut quiet, mut keep) = (false, true);
        for switch in nstat.split_whitespace().skip(1) {
            match switch {
                "-n" => quiet = true,
                "-s" => keep = false,
                _ => return None,
            }
        }
        let now = *self.engine.counters();
        let grown = now.iter().zip(self.counted.iter());
        let grown = grown.map(|((name, now), (_, before))| (name, now.wrapping_sub(before)));
        let mut shown: Vec<String> = grown
            .filter(|&(_, more)| more > 0 && !quiet)
            .map(|(name, more)| format!("{name:<32}{more:<16}   0.0"))
            .collect();
        if keep {
            self.counted = now;
        }
        let filters = filters.split('|').map(str::trim).filter(|filter| !filter.is_empty());
        for (place, filter) in filters.enumerate() {
            let wanted = filter.strip_prefix("grep ")?.trim_start_matches("-q ");
            let wanted = wanted.trim_matches(['"', '\'']);
            if place == 0 && !now.iter().any(|(name, _)| name.contains(wanted)) {
                return None;
            }
            shown.retain(|line| line.contains(wanted));
            if shown.is_empty() {
                return Some(Err(Refusal::Failed(format!("`{line}` finds nothing"))));
            }
        }
        Some(Ok(()))
    }
}

/// `tso off gso off`: the virtual device cuts nothing whatever is set.
fn only_offloads(words: &[&str]) -> bool {
    let known = |pair: &[&str]| {
        matches!(pair, ["tso" | "gso" | "gro" | "lro" | "tx" | "rx" | "sg", "on" | "off"])
    };
    !words.is_empty() && words.chunks(2).all(known)
}

/// The words of a command, `$((a*b))` computed.
fn words(line: &str) -> Vec<String> {
    shell::words(line).words.iter().map(|word| computed(word)).collect()
}

/// `$((32*1024*1024))` as the number.
fn computed(word: &str) -> String {
    let Some((before, rest)) = word.split_once("$((") else { return word.to_owned() };
    let Some((sum, after)) = rest.split_once("))") else { return word.to_owned() };
    let mut factors = sum.split('*').map(|factor| factor.trim().parse::<u64>().ok());
    let product = factors.try_fold(1u64, |product, factor| product.checked_mul(factor?));
    match product {
        Some(product) => format!("{before}{product}{}", computed(after)),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_lines_and_words() {
        let text =
            "./defaults.sh\n  sysctl -q a.b=\"1 2 $((3*4))\" # why\n\n./x c=1 \\\n d=2 && y; z";
        let all: Vec<Vec<String>> = shell::commands(text).iter().map(|line| words(line)).collect();
        let expected: [&[&str]; 5] = [
            &["./defaults.sh"],
            &["sysctl", "-q", "a.b=1 2 12"],
            &["./x", "c=1", "d=2"],
            &["y"],
            &["z"],
        ];
        assert_eq!(all, expected);
    }
}
