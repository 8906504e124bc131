//! Displays on walls: paired without anybody signing in at them, bound to one deployment and one network.

use mdfm_tests::{Api, Layout, Role, World};
use serde_json::{Value, json};

use crate::console::{FAST, OURS, api, running};
use crate::fresh_dir;

/// A cookie that an answer sets, by its name.
fn cookie(headers: &reqwest::header::HeaderMap, name: &str) -> String {
    let set = headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let mut values = set.filter_map(|set| set.strip_prefix(&format!("{name}=")).map(|rest| (set, rest)));
    let (set, rest) = values.next().expect("the cookie");
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(set.contains(part), "{set}");
    }
    rest.split(';').next().unwrap_or_default().to_owned()
}

/// What the display at this cookie shows of pairing.
fn look(stranger: &Api, waiting: &str) -> (u16, reqwest::header::HeaderMap, String) {
    let cookie = format!("__Host-mdfm-display={waiting}");
    stranger.console("GET", "/console/display", &[], &[("cookie", &cookie)]).unwrap()
}

#[test]
fn sec_console_a_display_shows_one_deployment_alone() {
    let dir = fresh_dir("displays");
    let layout = Layout { hospitals: 1, devices: 1, more_config: FAST.into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let deployment = running(&world, &dir);
    let (operator, stranger) = (api(&world, "operator"), api(&world, "operator").anonymous());

    // The display asks for a code: nobody signs in, but no other site does it.
    let (status, _, page) = stranger.console("GET", "/console/display", &[], &[]).unwrap();
    assert!(status == 200 && page.contains("Show a code"), "{status} {page}");
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(stranger.console("POST", "/console/display", &[], &foreign).unwrap().0, 403);
    let (status, headers, page) = stranger.console("POST", "/console/display", &[], &[OURS]).unwrap();
    assert_eq!(status, 303, "{page}");
    let waiting = cookie(&headers, "__Host-mdfm-display");
    let code = waiting.split_once('.').unwrap().0.to_owned();
    let (status, _, page) = look(&stranger, &waiting);
    let shown = format!("{} {}", &code[..4], &code[4..]);
    assert!(status == 200 && page.contains(&shown) && page.contains("refresh"), "{page}");
    assert!(!page.contains(waiting.split_once('.').unwrap().1), "its secret is not on the screen");

    // Who read the code from the screen gets nothing by it, and pairs nothing without the second factor of a person.
    let pairing = format!("/api/v1/displays/{code}/pairing");
    let until = |days: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).to_string();
    let body = |days| json!({ "deploymentId": deployment, "name": "left wall", "expiresAt": until(days) });
    assert_eq!(stranger.json("POST", &pairing, &body(7)).unwrap().0, 401);
    let guessed = json!({ "secret": code });
    assert_eq!(stranger.json("POST", &format!("/api/v1/displays/{code}/token"), &guessed).unwrap().0, 404);
    assert_eq!(operator.json("POST", &pairing, &body(40)).unwrap().0, 422, "a month at most");
    let unknown = json!({ "deploymentId": "D-404", "name": "left wall", "expiresAt": until(7) });
    assert_eq!(operator.json("POST", &pairing, &unknown).unwrap().0, 404);
    let wrong = operator.json("POST", "/api/v1/displays/00000000/pairing", &body(7)).unwrap();
    assert!(wrong.0 == 404 && wrong.1["detail"].as_str().unwrap().contains("ten minutes"), "{wrong:?}");

    // An operator types it, as people do, and the display goes on to its wall.
    let (status, _, form) = operator.console("GET", "/console/wall/pair", &[], &[]).unwrap();
    assert!(status == 200 && form.contains("display_code"), "{status} {form}");
    let form_token = form.split_once("name=\"form_token\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let typed = shown.to_lowercase();
    let day = until(7)[..10].to_owned();
    let fields = [
        ("form_token", form_token.as_str()),
        ("display_code", &typed),
        ("deployment", &deployment),
        ("name", "left wall"),
        ("expires_at", &day),
    ];
    let (status, headers, page) = operator.console("POST", "/console/wall/pair", &fields, &[OURS]).unwrap();
    assert_eq!(status, 303, "{page}");
    assert!(headers["location"].to_str().unwrap().starts_with("/console/wall?"), "{headers:?}");
    let (status, headers, _) = look(&stranger, &waiting);
    assert_eq!(status, 303);
    let wall = headers["location"].to_str().unwrap().to_owned();
    let token = cookie(&headers, "__Host-mdfm");
    let display = stranger.with_token(&token);
    let (status, _, page) = display.console("GET", &wall, &[], &[]).unwrap();
    assert!(status == 200 && page.contains(&deployment) && page.contains("id=\"wall\""), "{status} {page}");

    // Nothing else is open to it: no other page, nothing of the API, and no act.
    let (_, _, page) = display.console("GET", "/console/wall?deployment=D-404", &[], &[]).unwrap();
    assert!(page.contains(&deployment), "its own, whatever the address says: {page}");
    for path in ["/console", "/console/devices", "/console/audit", "/console/wall/pair", "/console/me/tokens"] {
        let (status, headers, page) = display.console("GET", path, &[], &[]).unwrap();
        assert!(status == 303 && headers["location"].to_str().unwrap().contains("sign-in"), "{path}: {status} {page}");
    }
    for path in ["/api/v1/devices", "/api/v1/deployments", &format!("/api/v1/deployments/{deployment}"), "/api/v1/me"] {
        assert_eq!(display.json("GET", path, &Value::Null).unwrap().0, 401, "{path}");
    }
    let pause = format!("/api/v1/deployments/{deployment}/pause");
    assert_eq!(display.json("POST", &pause, &json!({ "reason": "x" })).unwrap().0, 401);
    let summary = format!("/api/v1/deployments/{deployment}/summary");
    assert_eq!(display.json("POST", &summary, &Value::Null).unwrap().0, 405);
    assert_eq!(display.json("GET", &summary, &Value::Null).unwrap().0, 200);
    let elsewhere = display.from_address([127, 0, 0, 2].into()).unwrap();
    assert_eq!(
        elsewhere.json("GET", &summary, &Value::Null).unwrap().0,
        401,
        "its cookie is of no use in another network"
    );

    // It stands among its owner's tokens, and in the log; revoked, it asks to be paired again.
    let own = operator.json("GET", "/api/v1/me/tokens", &Value::Null).unwrap().1;
    let held = own.as_array().unwrap().iter().find(|t| t["displays"] == deployment.as_str()).expect("listed").clone();
    let id = held["tokenId"].as_str().unwrap();
    let found = world.ctl(Role::Auditor, &["audit", "search", "--limit", "50", "--action", "token.create"]).unwrap();
    assert!(found.to_string().contains(id) && !found.to_string().contains(&token), "{found}");
    assert_eq!(operator.json("DELETE", &format!("/api/v1/me/tokens/{id}"), &Value::Null).unwrap().0, 204);
    let (status, headers, _) = display.console("GET", &wall, &[], &[]).unwrap();
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "/console/display"));
    assert_eq!(cookie(&headers, "__Host-mdfm"), "", "it forgets the token");
}
