//! What the reader of a mistake gets to see.

use fourwave_drill::lang::{SyntaxError, parse};

#[track_caller]
fn error(source: &str) -> SyntaxError {
    match parse(source) {
        Ok(script) => panic!("a mistake was read as {script}"),
        Err(error) => error,
    }
}

/// The messages of several scripts, one below the other.
#[track_caller]
fn messages(sources: &[&str]) -> String {
    let messages: Vec<String> =
        sources.iter().map(|source| error(source).in_file("a.pkt").to_string()).collect();
    messages.join("\n\n")
}

#[test]
fn packets() {
    insta::assert_snapshot!(messages(&[
        "0 < SX 0:0(0)",
        "0 < S 0:0(0) win",
        "0 < S 0:0(0) win 70000",
        "0 < S 0:0(0) win\n+0 close(3) = 0",
        "0 < . 1:1000(1000) ack 1",
        "0 < . 1:1 ack 1",
        "0 < . 1:1(0) ack 1 <mss>",
        "0 < . 1:1(0) ack 1 <mss 1460 nop>",
        "0 < . 1:1(0) ack 1 <mas 1460>",
        "0 < . 1:1(0) ack 1 <...>",
        "0 < . 1:1(0) ack 1 <FO 123>",
        "0 < . 1:1(0) ack 1 <md5 12>",
        "0 < [ect01] . 1:1(0)",
        "0 < [ect2] . 1:1(0)",
        "0 < [ttl 256] . 1:1(0)",
        "0 < .9 1:1(0)",
        "0 < 99999 > 1 . 1:1(0)",
        "0 < icmp",
        "0 <",
    ]));
}

#[test]
fn calls() {
    insta::assert_snapshot!(messages(&[
        "0 close(3 = 0",
        "0 close(3) 0",
        "0 close(3)\n+0 close(4) = 0",
        "0 close 3",
        "0 close(3,) = 0",
        "0 f({a=}) = 0",
        "0 f([1, 2) = 0",
        "0 f(1 |) = 0",
        "0 f(99999999999999999999) = 0",
        "0 f(\"a\\q\") = 0",
        "0 close(3) = -1 EBADF (Bad\n+0 close(4) = 0",
    ]));
}

#[test]
fn scripts() {
    insta::assert_snapshot!(messages(&[
        "",
        "// only a comment\n",
        "--tolerance_usecs=5\n",
        "close(3) = 0\n",
        "0 close(3) = 0\nclose(4) = 0\n",
        "0 close(3) = -1 EBADF (Bad)\nclose(4) = 0\n",
        "0 close(3) = 0\n+ close(4) = 0\n",
        "0 close(3) = 0\n\n`one`\n`two`\n",
        "* close(3) = 0\n",
        "+1~+2 < . 1:1(0)\n",
        "2~1 > . 1:1(0)\n",
        "0.2...0.1 close(3) = 0\n",
        "99999999999 close(3) = 0\n",
        "0 42\n",
    ]));
}

#[test]
fn things_that_never_end() {
    insta::assert_snapshot!(messages(&[
        "0 `sleep 1\n",
        "0 f(\"text) = 0\n",
        "0 %{ assert 1 }\n",
        "/* a comment\n0 close(3) = 0\n",
        "0 close(3) = 0\n#ifdef A\n+0 close(4) = 0\n",
        "#ifndef A\n0 close(3) = 0\n",
        "0 close(3) = 0\n#endif\n",
        "#ifdef\n0 close(3) = 0\n#endif\n",
        "0 close(3 = 0\n+0 `sleep 1\n",
    ]));
}

#[test]
fn long_lines_tabs_and_control_characters() {
    let long = format!("0 write(3, {}oops oops, 5) = 5", "1, ".repeat(100));
    let binary = "\u{7f}ELF\u{2}\u{1}\u{0}\u{1b}[31m";
    insta::assert_snapshot!(messages(&[&long, "0\tclose(3)\t\t5 = 0", binary]));
}

#[test]
fn an_error_on_its_own_is_one_line() {
    assert_eq!(error("0 close(3 = 0").to_string(), "1:11: expected `,` or `)`, found `=`");
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{", "}"), ("(", ")"), ("f(", ")"), ("~", ""), ("{a=", "}")]
    {
        for levels in [65, 100_000] {
            let source = format!("0 f({}1{}) = 0", open.repeat(levels), close.repeat(levels));
            let error = error(&source);
            assert_eq!(error.expected, "at most 64 brackets within one another", "{open}");
            let result = format!("0 f() = {}1", open.repeat(levels));
            assert!(parse(&result).is_err());
        }
    }
    let deep = format!("0 f({}1{}) = 0", "[".repeat(64), "]".repeat(64));
    assert!(parse(&deep).is_ok());
}

#[test]
fn long_chains_are_refused() {
    let chain = |len: usize| format!("0 f(1{}) = 0", "|1".repeat(len));
    assert!(parse(&chain(255)).is_ok());
    let error = error(&chain(1_000_000));
    assert_eq!(error.expected, "an argument of at most 256 operators and brackets");
}

/// Would not end if any of these were read again and again.
#[test]
fn long_texts_are_read_once() {
    let many = 100_000;
    for (part, good) in [
        ("0 close(3) = 0\n", true),
        ("0 > . 1:1(0)\n", true),
        ("0 f(1, 2) = -1 EBADF (Bad) ", true),
        ("--a=b ", false),
        ("`", false),
        ("\"", false),
        ("/*", false),
        ("#ifdef A\n", false),
        ("{a({a(", false),
        ("0 < [", false),
        ("\u{e4}", false),
    ] {
        let source = part.repeat(many);
        assert_eq!(parse(&source).is_ok(), good, "{part}");
    }
}
