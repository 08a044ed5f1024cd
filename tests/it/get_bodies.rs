//! Where `fetchd get` puts bodies.

use serde_json::json;

use crate::support::{
    Origin, RawOrigin,
    command::{LOCAL, fetchd, lines, stderr, uneven},
    reply,
};

#[tokio::test(flavor = "multi_thread")]
async fn get_writes_bodies_to_the_output_or_to_files() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/binary" => reply(vec![0xff, 0, 1]),
            _ => reply("text"),
        }
    })
    .await;
    let (text, binary) = (origin.url("text"), origin.url("binary"));
    let output = fetchd(&[&["get", &text, &binary], &LOCAL[..]].concat(), "").await;
    assert_eq!(output.status.code(), Some(0));
    let printed = lines(&output);
    assert_eq!(
        (&printed[0]["body"], printed[0].get("body_base64")),
        (&json!("text"), None)
    );
    assert_eq!(
        (printed[1].get("body"), &printed[1]["body_base64"]),
        (None, &json!("/wAB"))
    );

    let directory = tempfile::tempdir().unwrap();
    let bodies = directory.path().join("made/anew");
    let save = ["get", &text, &binary, "-o", bodies.to_str().unwrap()];
    let output = fetchd(&[&save, &LOCAL[..]].concat(), "").await;
    let saved = lines(&output);
    assert_eq!(
        std::fs::read(saved[1]["file"].as_str().unwrap()).unwrap(),
        [0xff, 0, 1]
    );
    assert_eq!(
        std::fs::read(bodies.join("00000-127.0.0.1-text")).unwrap(),
        b"text"
    );
    assert!(saved.iter().all(|line| line.get("body").is_none()));

    let output = fetchd(&[&["get", &text, "--no-body"], &LOCAL[..]].concat(), "").await;
    assert_eq!(lines(&output)[0].get("body"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_exists_is_overwritten_by_force_only() {
    let origin = uneven().await;
    let directory = tempfile::tempdir().unwrap();
    let save = [
        "get",
        &origin.url("a"),
        &origin.url("b"),
        "-o",
        directory.path().to_str().unwrap(),
    ];
    let save = [&save[..], &LOCAL].concat();
    let file = directory.path().join("00001-127.0.0.1-b");
    std::fs::write(&file, "mine").unwrap();
    let output = fetchd(&save, "").await;
    assert_eq!(output.status.code(), Some(1));
    let message = lines(&output)[1]["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("00001-127.0.0.1-b") && message.contains("--force"),
        "{message}"
    );
    assert!(stderr(&output).contains("--force"));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    // Nothing was fetched in vain.
    assert_eq!(origin.seen(), 1);

    let output = fetchd(&[&save[..], &["--force"]].concat(), "").await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(std::fs::read(&file).unwrap(), b"/b");
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_body_leaves_no_file() {
    let cut = RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let large = Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let arguments = [
        "get",
        &cut.url(),
        &large.url(""),
        "-o",
        path,
        "--max-body",
        "1000KiB",
    ];
    let output = fetchd(&[&arguments[..], &LOCAL].concat(), "").await;
    assert_eq!(output.status.code(), Some(1));
    for (line, reason) in lines(&output)
        .iter()
        .zip(["DISCONNECTED", "BODY_TOO_LARGE"])
    {
        assert_eq!(line["error"]["reason"], reason);
        assert_eq!(line.get("file"), None);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_out_of_the_directory() {
    let origin = uneven().await;
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("in/side");
    let urls =
        ["..%2f..%2fa", "%2e%2e/%2e%2e/b", "../../c", "a\\..\\..\\d"].map(|path| origin.url(path));
    let mut arguments = vec!["get", "-o", inside.to_str().unwrap()];
    arguments.extend(urls.iter().map(String::as_str));
    let output = fetchd(&[&arguments[..], &LOCAL].concat(), "").await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 4);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_dir(directory.path().join("in"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resumed_list_keeps_the_files_it_has() {
    let origin = uneven().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let failures = directory.path().join("failures");
    let (path, failures) = (path.to_str().unwrap(), failures.to_str().unwrap());
    let save = [
        &["get", "-o", path, "--failures", failures, "-i"][..],
        &LOCAL,
    ]
    .concat();
    let save = |list| {
        let mut arguments = save.clone();
        arguments.insert(6, list);
        arguments
    };
    // Both URLs have the same host and path.
    let refused = "http://127.0.0.1:1/a?2";
    let list = format!(
        "{{\"id\": 1, \"url\": \"{}\"}}\n{{\"id\": \"b\", \"url\": \"{refused}\"}}\n",
        origin.url("a?1")
    );
    let first = fetchd(&save("-"), list).await;
    assert_eq!(first.status.code(), Some(1));
    let failed = std::fs::read_to_string(failures).unwrap();
    std::fs::write(failures, failed.replace(refused, &origin.url("a?2"))).unwrap();
    let second = fetchd(&save(failures), "").await;
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["00001-127.0.0.1-a", "b-127.0.0.1-a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_with_the_same_id_do_not_share_a_file() {
    let origin = uneven().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let line = format!("{{\"id\": 1, \"url\": \"{}\"}}\n", origin.url("a"));
    // The index of the third line is 2, which is the id of the fourth.
    let list = format!(
        "{line}{line}{}\n{}",
        origin.url("a"),
        line.replace('1', "2")
    );
    let list = list.replace("227.0.0.2", "127.0.0.1");
    let save = [&["get", "-i", "-", "--force", "-o", path][..], &LOCAL].concat();
    let output = fetchd(&save, list).await;
    let lines = lines(&output);
    let messages = [1, 3].map(|index: usize| lines[index]["error"]["message"].to_string());
    assert!(
        messages
            .iter()
            .all(|message| message.contains("expected different ids")),
        "{messages:?}"
    );
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 2);
}
