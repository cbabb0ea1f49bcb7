//! Texts that attack whoever shows them: markup, scripts, formulas, terminals, templates, queries, paths, and writing that
//! hides, reverses or overflows.

/// What markup would run; each tells of it by the page's title or by `window.owned`.
const MARKUP: [&str; 60] = [
    "<script>document.title='owned'</script>",
    "</bdi></a></th><script>window.owned=1</script>",
    "\"><script>window.owned=1</script>",
    "'><script>window.owned=1</script>",
    "</title><script>window.owned=1</script>",
    "</textarea><script>window.owned=1</script>",
    "</style><script>window.owned=1</script>",
    "</script><script>window.owned=1</script>",
    "--><script>window.owned=1</script>",
    "]]><script>window.owned=1</script>",
    "<ScRiPt>window.owned=1</sCrIpT>",
    "<script/src=data:,window.owned=1>",
    "<script src=//127.0.0.1:1/x.js></script>",
    "<scr<script>ipt>window.owned=1</scr</script>ipt>",
    "<img src=x onerror=window.owned=1>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<img src='x' onerror='window.owned=1'//",
    "<img/src/onerror=window.owned=1>",
    "<svg onload=window.owned=1>",
    "<svg><script>window.owned=1</script></svg>",
    "<svg/onload=window.owned=1//",
    "<svg><animate onbegin=window.owned=1 attributeName=x dur=1s>",
    "<math><mi//xlink:href=\"data:x,<script>window.owned=1</script>\">",
    "<body onload=window.owned=1>",
    "<iframe src=javascript:window.owned=1></iframe>",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "<object data=data:text/html,<script>parent.owned=1</script>>",
    "<embed src=javascript:window.owned=1>",
    "<a href=javascript:window.owned=1>click</a>",
    "<a href=\"jav&#x09;ascript:window.owned=1\">click</a>",
    "<form action=javascript:window.owned=1><button autofocus>x</button></form>",
    "<input autofocus onfocus=window.owned=1>",
    "<details open ontoggle=window.owned=1>",
    "<video><source onerror=window.owned=1></video>",
    "<audio src onerror=window.owned=1>",
    "<marquee onstart=window.owned=1>x</marquee>",
    "<link rel=stylesheet href=//127.0.0.1:1/x.css>",
    "<style>*{display:none!important}</style>",
    "<style>@import '//127.0.0.1:1/x.css';</style>",
    "<base href=//127.0.0.1:1/>",
    "<meta http-equiv=refresh content='0;url=//127.0.0.1:1/'>",
    "<meta charset=utf-7>+ADw-script+AD4-window.owned=1+ADw-/script+AD4-",
    "<template><script>window.owned=1</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=window.owned=1>\">",
    "<plaintext>",
    "<xmp><p title=\"</xmp><svg onload=window.owned=1>\">",
    "<!--<img src=\"--><img src=x onerror=window.owned=1>\">",
    "<![CDATA[<script>window.owned=1</script>]]>",
    "<?xml version=\"1.0\"?><script>window.owned=1</script>",
    "<p id=main>",
    "</main></body></html>",
    "<table><tr><td>",
    "</td></tr></table>",
    "<h1 id=rows>",
    "<select><option>",
    "<dialog open>you are signed out</dialog>",
    "<b>bold</b>",
    "<!DOCTYPE html>",
    "<",
    ">",
];

/// What breaks out of an attribute, an address or a script's string.
const QUOTES: [&str; 28] = [
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    "\\'",
    "&",
    "&amp;",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "&quot;",
    "&#0;",
    "&bogus",
    "\" onmouseover=\"window.owned=1",
    "' onmouseover='window.owned=1",
    "` onmouseover=window.owned=1",
    "\" style=\"position:fixed;inset:0\"",
    "\" autofocus onfocus=\"window.owned=1",
    "x\" data-rank=\"-99999999",
    "javascript:window.owned=1",
    "JaVaScRiPt:window.owned=1",
    "data:text/html,<script>window.owned=1</script>",
    "vbscript:msgbox(1)",
    "\");window.owned=1;//",
    "');window.owned=1;//",
    "${window.owned=1}",
    "\\u003cscript\\u003e",
    "\"]}}' ",
];

/// What template engines and format strings would evaluate.
const TEMPLATES: [&str; 22] = [
    "{{7*7}}",
    "{{ frame.caller }}",
    "{% include \"/etc/passwd\" %}",
    "{% raw %}",
    "{# x #}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{{constructor.constructor('window.owned=1')()}}",
    "[[${7*7}]]",
    "@(7*7)",
    "%{7*7}",
    "{0}",
    "{}",
    "%s%s%s%n",
    "%00",
    "%0d%0a",
    "$(id)",
    "`id`",
    "${jndi:ldap://127.0.0.1:1/x}",
    "{{{{",
    "}}}}",
];

/// What spreadsheets would run.
const FORMULAS: [&str; 20] = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://127.0.0.1:1\",\"x\")",
    "=IMPORTXML(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\"=1+1",
    "=1+1;=2+2",
    "a,=1+1",
    "a\",=1+1,\"",
    "a;=1+1",
    "=DDE(\"cmd\";\"/C calc\";\"x\")",
    "-2+3+cmd|' /C calc'!A0",
    "+49 30 1234",
    "'=1+1",
];

/// What databases would run.
const QUERIES: [&str; 16] = [
    "' OR '1'='1",
    "'; DROP TABLE hosts; --",
    "\" OR \"\"=\"",
    "1; SELECT pg_sleep(10)",
    "%",
    "_",
    "%' --",
    "a%b_c",
    "' UNION SELECT 1,2,3 --",
    "\\'; DROP TABLE hosts; --",
    "NULL",
    "null",
    "undefined",
    "true",
    "NaN",
    "$1",
];

/// What file systems and addresses would follow.
const PATHS: [&str; 22] = [
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "C:\\Windows\\System32\\drivers",
    "%2e%2e%2f",
    "..%2f..%2f",
    "....//",
    "file:///etc/passwd",
    "\\\\127.0.0.1\\share",
    "//127.0.0.1:1/x",
    "http://127.0.0.1:1/",
    ".",
    "..",
    "/",
    "?",
    "#",
    "a/b/c",
    "a?b=c&d=e",
    "a#b",
    "CON",
    "aux.txt",
    "name:stream",
];

/// What reads otherwise than it is: reversed, hidden, doubled, or of another script.
const WRITING: [&str; 40] = [
    "web\u{202e}1-bew",
    "\u{202d}web",
    "\u{202a}web\u{202c}",
    "\u{202b}web",
    "\u{2066}web\u{2069}",
    "\u{2067}web",
    "\u{2068}web",
    "web\u{200e}1",
    "web\u{200f}1",
    "\u{61c}web",
    "web\u{200b}1",
    "web\u{200c}1",
    "web\u{200d}1",
    "web\u{2060}1",
    "\u{feff}web",
    "web\u{ad}1",
    "web\u{34f}1",
    "web\u{180e}1",
    "web\u{2028}1",
    "web\u{2029}1",
    "web\u{85}1",
    "web\u{a0}1",
    "web\u{2003}1",
    "web\u{3000}1",
    "\u{3164}",
    "\u{115f}",
    "\u{e0041}\u{e0042}",
    "web\u{fe0f}1",
    "\u{fffe}",
    "\u{fffd}",
    "\u{10ffff}",
    "wеb-1",
    "ｗｅｂ－１",
    "مضيف-١",
    "מארח-1",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{1f1e6}\u{1f1f9}",
    "Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}\u{33d}\u{34f}\u{334}\u{319}a\u{328}l",
    "ﷺ",
    "𝔴𝔢𝔟",
];

/// What terminals would obey.
const TERMINALS: [&str; 18] = [
    "\u{1b}[2J",
    "\u{1b}[31mred",
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]8;;http://127.0.0.1:1\u{1b}\\link",
    "\u{1b}[6n",
    "\u{1b}[?1049h",
    "\u{1b}c",
    "\u{9b}2J",
    "\u{9d}0;owned\u{9c}",
    "a\rb",
    "a\nb",
    "a\r\nb",
    "a\u{8}\u{8}b",
    "a\tb",
    "a\u{b}b",
    "a\u{c}b",
    "a\u{7}",
    "\r\nevent: gone\r\ndata: x\r\n\r\n",
];

/// All of them: those above, each control character alone in a word, and what is as long as limits allow or longer.
#[must_use]
pub fn strings() -> Vec<String> {
    let listed = [
        &MARKUP[..],
        &QUOTES,
        &TEMPLATES,
        &FORMULAS,
        &QUERIES,
        &PATHS,
        &WRITING,
        &TERMINALS,
    ];
    let listed = listed.into_iter().flatten().map(|text| (*text).to_owned());
    let controls = (0_u8..0x20)
        .chain(0x7f..=0x9f)
        .map(|code| format!("web{}1", char::from(code)));
    let spaces = ["", " ", "  ", " web", "web ", "w e b"].map(str::to_owned);
    let long = [63, 64, 65, 128, 253, 254, 255, 256, 512, 4_096].map(|length| "w".repeat(length));
    let wide = [
        "W".repeat(200),
        "\u{202e}".repeat(200),
        "\u{200b}".repeat(200),
        "😀".repeat(60),
        "a\u{336}".repeat(120),
    ];
    let mut all: Vec<String> = listed
        .chain(controls)
        .chain(spaces)
        .chain(long)
        .chain(wide)
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_three_hundred_and_none_twice() {
        assert!(super::strings().len() >= 300, "{}", super::strings().len());
    }
}
