//! The HTML page in headless Chromium: opened, searched, walked through by keyboard, light and
//! dark, wide and narrow, with 10,000 connections and with hostile texts.

mod browser;
mod capture;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use browser::Browser;
use fourwave_lens::{ConnectionRecord, EntryKind, LadderEntry, Role, Sender, SenderPoint};
use fourwave_trace::html::PageOptions;
use fourwave_trace::{Numbering, Overview, Sink};

/// A page in a file that goes with it.
struct Saved(PathBuf);

impl Saved {
    fn of(name: &str, page: &str) -> Self {
        let path = capture::scratch().join(format!("page-{name}-{}.html", std::process::id()));
        std::fs::write(&path, page).expect("the page is written");
        Self(path)
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

/// The open connection, its ladder drawn.
const DRAWN: &str = "document.body.dataset.screen === 'detail' && \
                     document.querySelector('#detail .ladder')";

fn drawn(conn: usize) -> String {
    let said = "document.querySelector('#detail .dim').textContent";
    format!("{DRAWN} && {said}.startsWith('connection {conn},')")
}

fn matches(browser: &mut Browser) -> String {
    browser.text("document.getElementById('matches').textContent")
}

fn hash(browser: &mut Browser) -> String {
    browser.text("location.hash")
}

#[test]
fn a_page_is_searched_and_walked_through() {
    let Some(mut b) = Browser::start() else { return };
    let page = Saved::of("walk", &capture::page(80, "walk.pcap"));
    b.size(1280, 900);
    b.open(&page.0, "");
    assert_eq!(b.text("document.title"), "walk.pcap · fourwave trace");
    assert_eq!(matches(&mut b), "80 connections");
    b.shot("overview");

    // A click on an anomaly, and one on an end, filter the list.
    b.click("#overview [data-kind='fin-retransmitted']");
    assert_eq!(matches(&mut b), "10 of 80 connections");
    assert_eq!(hash(&mut b), "#anomaly=fin-retransmitted");
    b.click("#chips [data-kind='fin-retransmitted']");
    b.click("#overview [data-end='refused']");
    assert_eq!(matches(&mut b), "10 of 80 connections");
    b.click("#chips [data-end='refused']");
    assert_eq!(matches(&mut b), "80 connections");

    // All words must occur.
    b.key("/");
    b.insert("192.0.2.9 :443 RESET");
    let reset = (0..80).filter(|n| n % 8 == 3 && capture::ends(*n)[1].port() == 443).count();
    assert_eq!(reset, 0, "kind and service go together");
    assert_eq!(matches(&mut b), "0 of 80 connections");
    b.key("Escape");
    assert_eq!(matches(&mut b), "80 connections");
    b.insert(":8080 reset 10.0.0.1");
    assert_eq!(matches(&mut b), "10 of 80 connections");
    b.key("Enter");
    b.wait(&drawn(4));
    b.shot("reset");
    let ladder = b.text("document.querySelector('#detail .ladder').textContent");
    assert!(ladder.contains("RST ACK seq=1001 ack=81"), "{ladder}");
    assert_eq!(b.eval("document.querySelectorAll('#detail .row.is-rst').length"), 1);

    // Down and up, further, back.
    b.key("j");
    b.wait(&drawn(12));
    b.key("ArrowDown");
    b.wait(&drawn(20));
    b.key("k");
    b.wait(&drawn(12));
    b.key("End");
    b.wait(&drawn(76));
    assert_eq!(
        b.text("document.querySelector('.item[aria-selected=true]').id"),
        b.text("document.getElementById('list').getAttribute('aria-activedescendant')")
    );
    b.key("Enter");
    b.wait("document.activeElement.id === 'detail'");
    b.key("Escape");
    b.wait("document.body.dataset.screen === 'overview' && document.activeElement.id === 'list'");
    assert!(hash(&mut b).starts_with("#q="), "{}", hash(&mut b));
    b.key("?");
    b.wait("document.getElementById('keys').open");
    b.key("Escape");
    b.wait("!document.getElementById('keys').open");
    assert_eq!(b.complaints, Vec::<String>::new());
}

#[test]
fn a_link_leads_to_a_connection_and_its_drawings() {
    let Some(mut b) = Browser::start() else { return };
    let page = Saved::of("link", &capture::page(80, "link.pcap"));
    b.size(1280, 900);
    b.open(&page.0, "#conn=6&q=:443&sort=-lasted");
    b.wait(&drawn(6));
    assert_eq!(matches(&mut b), "20 of 80 connections");
    assert_eq!(b.text("document.getElementById('sort').value"), "lasted");
    let states = b.text("document.querySelector('#detail .spans').textContent");
    for state in ["FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT 60 s", "CLOSE_WAIT", "LAST_ACK"] {
        assert!(states.contains(state), "{state} is missing: {states}");
    }
    assert_eq!(b.eval("document.querySelectorAll('.timeline rect.half').length"), 1);
    let row = b.text("document.querySelector('#detail .row.is-retransmitted')?.textContent");
    assert!(row.contains("FIN ACK seq=81"), "{row}");
    b.shot("half-closed");

    // A proof leads to its row.
    b.click("#detail [data-packet]");
    b.wait("document.querySelector('#detail .row.flash')");

    // Lost data: its plot has a point for what was retransmitted.
    b.open(&page.0, "#conn=7");
    b.wait(&drawn(7));
    b.wait("document.querySelector('.plots .p-retransmitted')?.getAttribute('d').length > 0");
    let metrics = b.text("document.querySelector('#detail .metrics').textContent");
    assert!(metrics.contains("fast retransmissions–1"), "{metrics}");
    b.eval("document.querySelector('.plots').scrollIntoView()");
    b.shot("plot");

    b.open(&page.0, "#conn=81");
    b.wait("document.getElementById('detail').textContent.includes('not in this page')");
    // Back and forth in the browser's own history.
    b.open(&page.0, "");
    b.click("#list [data-conn='3']");
    b.wait(&drawn(3));
    b.eval("history.back()");
    b.wait("document.body.dataset.screen !== 'detail'");
    b.eval("history.forward()");
    b.wait(&drawn(3));
    assert_eq!(b.complaints, Vec::<String>::new());
}

/// The text with the least contrast to what lies below it, and what the contrast is.
const CONTRAST: &str = include_str!("contrast.js");

#[test]
fn light_and_dark_wide_and_narrow() {
    let Some(mut b) = Browser::start() else { return };
    let page = Saved::of("looks", &capture::page(160, "looks.pcap"));
    let background = "getComputedStyle(document.body).backgroundColor";
    for width in [1280, 360] {
        b.size(width, 740);
        for (scheme, color) in [("light", "rgb(247, 246, 243)"), ("dark", "rgb(20, 23, 28)")] {
            b.prefers(scheme);
            for (screen, fragment) in [("overview", ""), ("reset", "#conn=4"), ("loss", "#conn=7")]
            {
                b.open(&page.0, fragment);
                if !fragment.is_empty() {
                    b.wait(DRAWN);
                }
                assert_eq!(b.text(background), color);
                b.shot(&format!("{screen}-{scheme}-{width}"));
                let worst = b.eval(CONTRAST);
                assert!(worst[0].as_f64() >= Some(4.5), "{scheme} {screen}: {worst}");
                fits(&mut b);
            }
            b.click("#theme");
            assert_ne!(b.text(background), color, "the toggle changes it");
            b.reload();
            assert_ne!(b.text(background), color, "and it is remembered");
            b.eval("localStorage.clear()");
        }
    }
    narrow_screens(&mut b, &page);
    assert_eq!(b.complaints, Vec::<String>::new());
}

/// Nothing that is shown sticks out of the window, but what scrolls by itself.
fn fits(b: &mut Browser) {
    let wide = b.eval(
        "[...document.querySelectorAll('body, #overview, #detail, .tools, #detail .draw')]
           .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
           .map((one) => `${one.id || one.className} ${one.scrollWidth} ${one.clientWidth}`)",
    );
    assert_eq!(wide, serde_json::json!([]));
    let cut = b.eval(
        "[...document.querySelectorAll('#detail .ladder text')].filter((one) => {
           const own = one.getBoundingClientRect();
           const all = one.ownerSVGElement.getBoundingClientRect();
           return own.left < all.left - 1 || own.right > all.right + 1;
         }).map((one) => one.textContent)",
    );
    assert_eq!(cut, serde_json::json!([]), "texts of the ladder that are cut");
}

/// On a phone, overview, list and detail are screens of their own.
fn narrow_screens(b: &mut Browser, page: &Saved) {
    b.size(360, 740);
    b.open(&page.0, "");
    let visible = "['side', 'overview', 'detail'].filter((id) => \
                   document.getElementById(id).checkVisibility()).join()";
    assert_eq!(b.text(visible), "overview");
    b.click("#overview [data-end='reset']");
    assert_eq!(b.text(visible), "side");
    b.shot("list-360");
    b.click("#list .item");
    b.wait(DRAWN);
    assert_eq!(b.text(visible), "detail");
    b.click("#detail .back");
    assert_eq!(b.text(visible), "side");
    b.click("#to-overview");
    assert_eq!(b.text(visible), "overview");
}

#[test]
fn ten_thousand_connections() {
    let Some(mut b) = Browser::start() else { return };
    let text = capture::page(10_000, "many.pcap");
    let page = Saved::of("many", &text);
    b.size(1280, 900);
    b.open(&page.0, "");
    let opened = b.eval("Math.round(performance.now())");
    eprintln!("10,000 connections: {} bytes, opened after {opened} ms", text.len());
    assert_eq!(matches(&mut b), "10,000 connections");
    let items = "document.querySelectorAll('.item').length";
    assert!(b.eval(items).as_u64() < Some(60), "only those in sight exist");
    assert_eq!(b.text("document.querySelector('.item').getAttribute('aria-setsize')"), "10000");
    b.key("/");
    b.insert(":17776");
    assert_eq!(matches(&mut b), "1 of 10,000 connections");
    b.key("Enter");
    b.wait(&drawn(7777));
    b.key("/");
    b.key("Escape");
    b.key("Escape");
    b.key("End");
    b.wait(&drawn(10_000));
    b.wait("document.getElementById('conn-10000').getBoundingClientRect().bottom <= innerHeight");
    b.key("PageUp");
    b.key("Home");
    b.wait(&drawn(1));
    b.shot("many");
    let search = b.eval(
        "(() => { const search = document.getElementById('search'), from = performance.now(); \
         search.value = 'reset 192.0.2'; search.dispatchEvent(new Event('input')); \
         return performance.now() - from; })()",
    );
    eprintln!("10,000 connections: searched in {search} ms");
    // Those that are reset, but the ones over IPv6.
    assert_eq!(matches(&mut b), "1,200 of 10,000 connections");
    assert!(b.eval(items).as_u64() < Some(60), "only those in sight exist");
    assert_eq!(b.complaints, Vec::<String>::new());
}

/// Changes records before another sink gets them.
struct Changed<S, F>(S, F);

impl<S: Sink, F: Fn(&mut ConnectionRecord)> Sink for Changed<S, F> {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        let mut record = record.clone();
        self.1(&mut record);
        self.0.record(&record, numbering)
    }

    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()> {
        self.0.finish(overview, numbering)
    }
}

#[test]
fn texts_of_others_stay_texts() {
    const EVIL: &str = "</script><script>document.title='owned'</script>\
                        <img src=x onerror=\"document.title='owned'\">{{7*7}}\u{202e}&amp;'\"";
    let note = |record: &mut ConnectionRecord| {
        let (at, what) = (record.opened, EntryKind::Note(EVIL.to_owned()));
        let (moved, wave, cause, annotation) = ([None; 2], None, None, None);
        let row =
            LadderEntry { at, packet: 0, from: Role::Client, what, moved, wave, cause, annotation };
        record.entries.insert(1, row);
    };
    let options = PageOptions { title: EVIL.to_owned(), ..PageOptions::default() };
    let path = capture::scratch().join(format!("page-hostile-{}.html", std::process::id()));
    capture::analyse(8, EVIL, Box::new(Changed(capture::create(&path, options), note)));
    let page = Saved(path);
    let text = std::fs::read_to_string(&page.0).expect("the page");
    assert!(!text.contains("<img"), "no markup of others");
    assert_eq!(text.matches("document.title='owned'").count(), 0, "not even quoted as it was");

    let Some(mut b) = Browser::start() else { return };
    b.open(&page.0, "#conn=1&q=<img src=x onerror=alert(1)>");
    b.wait(&drawn(1));
    assert!(b.text("document.title").starts_with("</script><script>"), "the title is a text");
    let heading = b.text("document.getElementById('overview-title').textContent");
    assert_eq!(heading, EVIL);
    let shown = b.text("document.querySelector('#detail .sr').textContent");
    assert!(shown.contains(EVIL), "{shown}");
    assert_eq!(b.eval("document.images.length"), 0);
    assert_eq!(b.complaints, Vec::<String>::new());

    // Scripts that are not the page's own, and the network, are forbidden.
    let refused = b.eval(
        "new Promise((done) => {
           const seen = [];
           document.addEventListener('securitypolicyviolation', (event) => {
             seen.push(event.effectiveDirective);
             if (seen.length === 2) done(seen.sort());
           });
           fetch('http://127.0.0.1:9/').catch(() => {});
           const script = document.createElement('script');
           script.textContent = 'document.title = \"owned\"';
           document.body.append(script);
         })",
    );
    assert_eq!(refused, serde_json::json!(["connect-src", "script-src-elem"]));
}

/// A page whose seventh connection has what an engine said of its sender: a window that grows, a
/// loss, a recovery.
fn page_of_a_sender() -> Saved {
    let path = capture::scratch().join(format!("page-sender-{}.html", std::process::id()));
    let options = PageOptions { title: "sender".to_owned(), ..PageOptions::default() };
    let senders = |record: &mut ConnectionRecord| {
        let (opened, Some(metrics)) = (record.opened, &mut record.metrics) else { return };
        for n in 0..60_u64 {
            let state = if (20..30).contains(&n) { "recovery" } else { "open" };
            let cwnd = if n < 20 { 14_480 * (n + 1) } else { 150_000 + 1000 * n };
            let sender = Sender {
                state,
                cwnd,
                ssthresh: (n >= 20).then_some(150_000),
                in_flight: cwnd / 2,
                rtt: Duration::from_micros(20_000 + 100 * n),
                ..Sender::default()
            };
            let at = opened + Duration::from_millis(n);
            metrics.senders.push(SenderPoint { at, end: Role::Server, sender });
        }
    };
    let only = move |record: &mut ConnectionRecord| {
        if record.conn == 7 {
            senders(record);
        }
    };
    let page = capture::create(&path, options);
    capture::analyse(8, "sender.pcap", Box::new(Changed(page, only)));
    Saved(path)
}

#[test]
fn what_an_engine_says_of_its_sender_is_drawn() {
    let page = page_of_a_sender();
    let Some(mut b) = Browser::start() else { return };
    let card = "[...document.querySelectorAll('#detail h2')].some((one) => \
                one.textContent.startsWith('Congestion window over time'))";
    for width in [1280, 360] {
        b.size(width, 900);
        for scheme in ["light", "dark"] {
            b.prefers(scheme);
            b.open(&page.0, "#conn=7");
            b.wait(&drawn(7));
            b.wait("document.querySelector('#detail .c-cwnd')?.getAttribute('d').length > 100");
            assert_eq!(b.eval("document.querySelectorAll('#detail .c-state.recovery').length"), 10);
            assert_eq!(b.eval("document.querySelectorAll('#detail .c-rtt').length"), 2);
            let worst = b.eval(CONTRAST);
            assert!(worst[0].as_f64() >= Some(4.5), "{scheme}: {worst}");
            fits(&mut b);
            b.eval("document.querySelector('.c-cwnd').scrollIntoView({ block: 'center' })");
            assert_eq!(b.eval("document.scrollingElement.scrollTop"), 0, "only the pane scrolls");
            b.shot(&format!("sender-{scheme}-{width}"));
        }
    }
    let words = b.text("[...document.querySelectorAll('#detail ol.sr')].pop().textContent");
    assert!(words.contains("recovery, cwnd 170 kB, ssthresh 150 kB"), "{words}");
    // A connection of which no engine said anything has no such drawing.
    b.open(&page.0, "#conn=6");
    b.wait(&drawn(6));
    b.wait(&format!("!({card})"));
    assert_eq!(b.complaints, Vec::<String>::new());
}

#[test]
fn a_capture_without_connections() {
    let page = capture::page(0, "empty.pcap");
    assert!(page.contains("No TCP connection was found."));
    let page = Saved::of("empty", &page);
    let Some(mut b) = Browser::start() else { return };
    for width in [1280, 360] {
        b.size(width, 740);
        b.open(&page.0, "");
        assert_eq!(matches(&mut b), "0 connections");
        b.key("j");
        b.key("Enter");
        b.shot(&format!("empty-{width}"));
        fits(&mut b);
    }
    assert_eq!(b.complaints, Vec::<String>::new());
}

#[test]
fn what_is_beyond_the_limit_is_counted_and_said() {
    let path = capture::scratch().join(format!("page-limit-{}.html", std::process::id()));
    let options = PageOptions { limit: 70, ..PageOptions::default() };
    capture::analyse(80, "a.pcap", Box::new(capture::create(&path, options)));
    let page = Saved(path);
    let text = std::fs::read_to_string(&page.0).expect("the page");
    let said = "10 connections more are counted above and not in this page: it holds the first 70";
    assert!(text.contains(said), "the page says so");
    assert!(text.contains("id=\"b1\"") && !text.contains("id=\"b2\""), "two blocks of 64");
}
