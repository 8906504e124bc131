//! Which coordinator a session is sent to, how lists are asked for, and who signs.

use super::*;
use crate::answer::tests::{Hostile, hostile};

/// A certificate of nobody, for clients that reach nobody.
pub(crate) const CA_PEM: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBNDCB56ADAgECAhR/YVSHv3KPhL1lxXsz7jZ/L+VNDzAFBgMrZXAwDzENMAsG\n\
A1UEAwwEdGVzdDAgFw0yNjExMjkyMDM2MTRaGA8yMTI2MTEwNTIwMzYxNFowDzEN\n\
MAsGA1UEAwwEdGVzdDAqMAUGAytlcAMhAJUWaTMXeT6wyk8Uiag0dqUbPKFG4oHW\n\
OMDnADcLPvsoo1MwUTAdBgNVHQ4EFgQUNd3H9BU1wqedyttpag9+muJN/qkwHwYD\n\
VR0jBBgwFoAUNd3H9BU1wqedyttpag9+muJN/qkwDwYDVR0TAQH/BAUwAwEB/zAF\n\
BgMrZXADQQBSVvWmUl80aRxOWsDwPJ04C3bqz88leklZTlyN2EStaCR9jk8/kgvl\n\
gRMjyNHCND87YV+jhgavycEYPBrQTOoA\n\
-----END CERTIFICATE-----\n\
";

pub(crate) fn session(url: &str) -> Session {
    let [token, user_id, printed_name] = ["t", "jdoe", "Jane Doe"].map(str::to_owned);
    Session { url: url.to_owned(), ca_pem: CA_PEM.to_owned(), token, user_id, printed_name }
}

#[test]
fn cli_15_a_session_goes_to_its_own_coordinator_alone() {
    let (held, file) = (session("https://a.example:8443"), Path::new("session.json"));
    for same in [None, Some("https://a.example:8443"), Some("https://a.example:8443/")] {
        check_coordinator(&held, file, same).expect("the same coordinator");
    }
    for other in
        ["https://b.example:8443", "https://a.example:8443.evil.example", "http://a.example:8443", "https://a.example"]
    {
        let error = check_coordinator(&held, file, Some(other)).expect_err(other).to_string();
        assert!(error.contains(other) && error.contains("nothing was sent"), "{error}");
    }
}

#[tokio::test]
async fn sec_9_an_event_without_end_is_cut() {
    let (url, http) = hostile(Hostile::Flood).await;
    let client = Client { http, session: session(&url), is_token: false };
    let error = client.events("/events", |_| panic!("no event is whole")).await.expect_err("it has no end");
    assert!(error.to_string().contains("more than 16777216 bytes"), "{error:#}");
}

#[test]
fn cli_26_lists_are_asked_for_as_the_api_has_it() {
    let which = |filter: Option<&str>, sort: Option<&str>, limit: Option<usize>| Which {
        filter: filter.map(str::to_owned),
        sort: sort.map(str::to_owned),
        limit: limit.map(|n| NonZeroUsize::new(n).expect("not zero")),
    };
    for (asked, address) in [
        (which(None, None, None), "/x?limit=1000"),
        (which(Some("a=b,c>=2&d#"), Some("-at"), Some(5)), "/x?limit=5&filter=a%3Db%2Cc%3E%3D2%26d%23&sort=-at"),
        (which(None, None, Some(usize::MAX)), "/x?limit=1000"),
    ] {
        assert_eq!(asked.first("/x"), address);
        assert!(asked.unlimited().first("/x").starts_with("/x?limit=1000"));
    }
    let mut rows = vec![Value::Null; 9];
    which(None, None, Some(4)).cut(&mut rows);
    assert_eq!(rows.len(), 4);
}

#[test]
fn cli_15_a_machines_token_is_no_signer() {
    let client =
        |is_token| Client { http: http(CA_PEM).expect("a client"), session: session("https://127.0.0.1:1"), is_token };
    client(false).check_signer().expect("a person");
    let error = client(true).check_signer().expect_err("a machine").to_string();
    assert!(error.contains("nothing was signed") && error.contains("MDFMCTL_TOKEN"), "{error}");
}

#[test]
fn cli_15_a_command_signs_in_where_that_can_be_asked() {
    let login = |place: bool, files: bool| Login {
        url: place.then(|| "https://a.example:8443".to_owned()),
        ca: place.then(|| "ca.pem".into()),
        user: files.then(|| "jdoe".to_owned()),
        password_file: files.then(|| "password".into()),
        new_password_file: None,
        sso: false,
        code: Code::of_file(None),
        recovery_code: None,
    };
    let signed_in = session("https://a.example:8443");
    let signed_out = Session { token: String::new(), ..session("https://a.example:8443") };
    assert!(is_sign_in_due(&login(true, false), None, false, true), "the first time, on a terminal");
    assert!(is_sign_in_due(&login(false, false), Some(&signed_out), false, true), "again, on a terminal");
    assert!(is_sign_in_due(&login(true, true), None, false, false), "a script with its files");
    assert!(!is_sign_in_due(&login(true, false), None, false, false), "nobody can be asked");
    assert!(!is_sign_in_due(&login(false, false), None, false, true), "which coordinator?");
    assert!(!is_sign_in_due(&login(true, true), None, true, true), "a machine's token is used");
    assert!(!is_sign_in_due(&login(true, true), Some(&signed_in), false, true), "somebody is signed in");
}

#[test]
fn cli_22_no_secret_goes_to_an_address_without_tls() {
    for one in ["https://fw.vendor.example", "https://127.0.0.1:8443/", "https://[::1]:8443"] {
        assert_eq!(coordinator_address(one).expect("an address"), one.trim_end_matches('/'));
    }
    for bad in [
        "http://127.0.0.1:8443",
        "ftp://fw.vendor.example",
        "https://127.0.0.1:8443@thief.example",
        "https://user:secret@fw.vendor.example",
        "https://fw.vendor.example/path",
        "https://fw.vendor.example/?x=1",
        "fw.vendor.example:8443",
        "",
    ] {
        let error = coordinator_address(bad).expect_err("no address").to_string();
        assert!(error.contains("https://HOST:PORT") && error.contains("nothing is sent"), "{error}");
    }
}

#[test]
fn cli_15_a_session_of_another_person_is_not_used() {
    let (file, held) = (Path::new("session.json"), session("https://a.example:8443"));
    check_user(&held, file, None).expect("nobody is named");
    check_user(&held, file, Some(&held.user_id)).expect("the same");
    let error = check_user(&held, file, Some("somebody-else")).expect_err("another").to_string();
    assert!(error.contains("MDFMCTL_USER") && error.contains("nothing was sent"), "{error}");
    let out = Session { token: String::new(), ..held };
    check_user(&out, file, Some("somebody-else")).expect("nobody is signed in");
}
