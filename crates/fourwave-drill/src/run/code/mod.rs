//! `%{ … }%`: code in Python's form that looks at TCP_INFO.
//!
//! Spoken: `assert`, assignments (`=`, `+=` …), `print`, `if x: statement`, comparisons and their
//! chains, `and or not`, `in`-less arithmetic, `%` on strings, `abs`, `int`, `max`, `min`. No
//! loops: a snippet takes time in proportion to its length. A name that is unknown but looks like
//! a fact or a constant (`tcpi_…`, capitals) makes the script skipped; any other is a failure, as
//! Python's NameError would be.

mod eval;
mod parser;

use std::collections::HashMap;

use crate::lex;
use crate::run::Error;
use crate::run::code::eval::{Scope, Value};
use crate::target::Facts;

/// The longest snippet in bytes.
const LONGEST: usize = 64 * 1024;

/// What lasts from snippet to snippet.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    variables: HashMap<String, Value>,
}

impl Machine {
    /// Runs a snippet; `facts` are none where there is no socket that has them.
    ///
    /// # Errors
    /// A false assertion, code that cannot be read, a name that is unknown.
    pub(crate) fn run(&mut self, code: &str, facts: Option<Facts>) -> Result<(), Error> {
        if code.len() > LONGEST {
            return Err(Error::Wrong(format!("a snippet has {LONGEST} bytes at most")));
        }
        // What TCP_INFO says now replaces what an earlier snippet made of it.
        for name in facts.iter().flat_map(|facts| facts.keys()) {
            self.variables.remove(name);
        }
        let tokens = lex::code::tokens(code).map_err(Error::Wrong)?;
        let statements = parser::statements(code, &tokens)?;
        let mut scope = Scope { variables: &mut self.variables, facts: facts.as_ref() };
        statements.iter().try_for_each(|statement| scope.run(statement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Option<Facts> {
        let facts = [("tcpi_snd_cwnd", 10), ("tcpi_options", 0x27), ("tcpi_rtt", 12_000)];
        Some(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn run(code: &str) -> Result<(), Error> {
        Machine::default().run(code, facts())
    }

    #[test]
    fn assertions_of_every_form_hold() {
        for code in [
            " assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd ",
            "assert (tcpi_options & TCPI_OPT_SYN_DATA) != 0, tcpi_options",
            "\nassert 5000 <= tcpi_rtt <= 20000, 'srtt=%d us' % tcpi_rtt\n",
            "assert tcpi_snd_cwnd == 10, 'cwnd=%d' % tcpi_snd_cwnd; \\\n assert tcpi_rtt > 0;",
            "assert not 1 > 2 and (3 or nothing)",
            "assert 0 or 7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2",
            "assert 7 / 2 == 3.5 and 1 << 4 | 1 == 17",
            "assert ~0 & 0xff == 255 # a comment",
            "x = 3; x += 2; x *= 10; assert x == 50",
            "if tcpi_snd_cwnd > 100: assert False, 'no'",
            "if tcpi_snd_cwnd == 10: y = 1\nassert y == 1",
            "assert max(1, 5) - min(2, 3) == 3 == abs(-3)",
            "print('cwnd', tcpi_snd_cwnd); print 'x'",
            "assert (1 +\n  2) == 3",
            "assert '%d of %s' % (3, 'x') == \"3 of x\"",
            "pass",
            "",
        ] {
            assert_eq!(run(code), Ok(()), "{code}");
        }
    }

    #[test]
    fn a_false_assertion_says_what_the_names_were() {
        let Err(Error::Differs(difference)) = run("assert tcpi_snd_cwnd == 11, 'cwnd=%d' % 10")
        else {
            panic!("it must not hold");
        };
        assert_eq!(difference.message, "assertion failed: cwnd=10");
        assert_eq!(difference.expected.unwrap().to_string(), "tcpi_snd_cwnd == 11");
        assert_eq!(difference.actual.unwrap().to_string(), "tcpi_snd_cwnd = 10");
        for code in ["assert 1 < 2 < 2", "assert 0", "assert 1 == 2 or 0", "assert not 1"] {
            assert!(matches!(run(code), Err(Error::Differs(_))), "{code}");
        }
    }

    #[test]
    fn variables_last_and_facts_are_new_each_time() {
        let mut machine = Machine::default();
        machine.run("before = tcpi_snd_cwnd; tcpi_rtt = 1; assert tcpi_rtt == 1", facts()).unwrap();
        machine.run("assert before == 10 and tcpi_rtt == 12000", facts()).unwrap();
    }

    #[test]
    fn names_that_are_not_there() {
        assert!(matches!(run("assert tcpi_snd_cwmd == 1"), Err(Error::Skip(_))));
        assert!(matches!(run("assert SK_MEMINFO_RCVBUF > 1"), Err(Error::Skip(_))));
        assert!(matches!(run("assert foo == 1"), Err(Error::Wrong(_))));
        let mut machine = Machine::default();
        assert!(matches!(machine.run("assert tcpi_rtt", None), Err(Error::Wrong(_))));
    }

    #[test]
    fn what_is_no_code_is_named() {
        for code in ["assert", "assert 1 ==", "x = ", "1 +", "assert (1", "'open", "a b", "x ? y"] {
            assert!(matches!(run(code), Err(Error::Wrong(_))), "{code}");
        }
        let deep = format!("assert {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert!(matches!(run(&deep), Err(Error::Wrong(_))));
        let long = format!("assert 1{}", " + 1".repeat(10_000));
        assert!(matches!(run(&long), Err(Error::Wrong(_))));
        assert!(matches!(run("for x in y:\n pass"), Err(Error::Skip(_))));
        assert!(matches!(run("assert 1 << 200"), Err(Error::Wrong(_))));
        assert!(matches!(run("assert 1 // 0"), Err(Error::Wrong(_))));
    }
}
