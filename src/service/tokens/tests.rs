use super::*;
use crate::reload::SettingFile;

fn parse(text: &str) -> Result<Tokens, ConfigError> {
    let file = &SettingFile::new("auth-token-file", "/tokens".into());
    let bytes = text.as_bytes();
    Tokens::parse(&Content { file, bytes })
}

#[test]
fn each_token_has_the_name_of_its_line() {
    let text = "# Callers\n\n  web \t secret-1\r\nweb secret-2\nbatch.2 \u{21}~\n";
    let tokens = parse(text).unwrap();
    for (token, name) in [
        ("secret-1", Some("web")),
        ("secret-2", Some("web")),
        ("!~", Some("batch.2")),
        ("secret-", None),
        ("secret-11", None),
        ("SECRET-1", None),
        ("web", None),
        ("", None),
    ] {
        let found = tokens.identify(token.as_bytes());
        assert_eq!(found.as_ref().and_then(Identity::token_name), name);
    }
    assert_eq!(tokens.names().len(), 2);
}

#[test]
fn lines_that_cannot_be_used_are_named_without_the_token() {
    let long = format!("{} hunter2", "n".repeat(65));
    let long_token = format!("web {}hunter2", "t".repeat(4096));
    for (text, expected) in [
        ("", "at least one line"),
        ("# web hunter2", "at least one line"),
        ("hunter2", "a name, white space and a token in line 1"),
        ("web hunter2 hunter2", "a name, white space and a token"),
        ("w/b hunter2", "a name of up to 64"),
        (&long, "a name of up to 64"),
        ("web hunter2ä", "a token of up to 4096"),
        (&long_token, "a token of up to 4096"),
        ("a hunter2\n\nb hunter2", "that no other line has in line 3"),
    ] {
        let error = parse(text).err().unwrap().to_string();
        assert!(error.starts_with("--auth-token-file: expected "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.ends_with("got \"/tokens\""), "{error}");
    }
}
