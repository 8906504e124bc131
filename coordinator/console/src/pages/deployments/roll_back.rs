//! Rolling back a device, a hospital, a phase or everything: what is meant, what follows from it by the API's dry run, and the order.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::acts::unconfirmed;
use super::{Frame, back};
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT};

/// Devices that a preview names; the count beside them says how many there are.
const NAMED: usize = 50;

pub(super) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/deployments/{{deployment}}/roll-back"), get(ask).post(order))
}

async fn ask(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show(&page, &deployment, &Value::Null, None).await
}

/// The page, with what follows from the order if that is known, and what was typed.
async fn show(
    page: &Page,
    id: &str,
    preview: &Value,
    typed: Option<(&Form, Option<&Refusal>)>,
) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let mut preview = preview.clone();
    if let Some(devices) = preview.get_mut("devices").and_then(Value::as_array_mut) {
        let named = devices.len();
        devices.truncate(NAMED);
        preview["ordered"] = named.into();
    }
    let input = typed.map_or_else(|| json!({}), |(form, _)| form.input());
    let more = json!({ "preview": preview, "open_devices": frame.sum_opened("devices"), "input": input });
    let refused = typed.and_then(|(form, refusal)| Some((form, refusal?)));
    frame.render(page, "deployments/roll-back.html", "", more, refused)
}

/// The order that a form asks for.
fn body(form: &Form) -> Result<Value, String> {
    let mut order = json!({ "reason": form.text("reason") });
    let need = |name: &str, what: &str| match form.text(name) {
        "" => Err(format!("Name the {what} that shall go back.")),
        text => Ok(Value::from(text)),
    };
    match form.text("scope") {
        "all" => {}
        "device" => order["deviceId"] = need("device", "device")?,
        "hospital" => order["hospitalId"] = need("hospital", "hospital")?,
        "phase" => {
            let number: u32 =
                form.text("phase").parse().map_err(|_| "Choose the phase that shall go back.".to_owned())?;
            order["phase"] = number.into();
        }
        _ => return Err("Choose what shall go back: everything, a phase, a hospital or a device.".into()),
    }
    // The whole deployment goes back because of the firmware: there is nothing to choose.
    order["cause"] = match (form.text("scope"), form.text("cause")) {
        ("all", _) | (_, "safety") => "safety".into(),
        (_, "operational") => "operational".into(),
        _ => return Err("Say why it goes back: because of the firmware, or for another reason.".into()),
    };
    Ok(order)
}

async fn order(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = match body(&form) {
        Ok(body) => body,
        Err(detail) => {
            return show(
                &page,
                &deployment,
                &Value::Null,
                Some((&form, Some(&Refusal::of_input("incomplete", detail)))),
            )
            .await;
        }
    };
    let of = path(&["deployments", &deployment, "rollback"]);
    let mut dry = body.clone();
    dry["dryRun"] = true.into();
    // The dry run has no key: the order that follows it is the act.
    let preview = match page.rehearse(&form, Method::POST, &of, &dry).await {
        Ok(answer) => answer.body,
        Err(Failure::Refused(refusal)) => {
            return show(&page, &deployment, &Value::Null, Some((&form, Some(&refusal)))).await;
        }
        Err(other) => return Err(other),
    };
    if form.text("step") != "order" {
        return show(&page, &deployment, &preview, Some((&form, None))).await;
    }
    let total = preview["totalDevices"].as_u64().unwrap_or(0);
    let frame = Frame::of(&page, &deployment).await?;
    let release = frame.deployment["firmwareId"].as_str().unwrap_or_default();
    let shown = form.text("shown_devices");
    let problem = if shown == total.to_string() {
        unconfirmed(form.text("confirm"), total, release)
    } else {
        let detail = format!("You were shown {shown} devices that go back; there are {total} now.");
        Some(Refusal::of_input("changed-meanwhile", detail))
    };
    if let Some(problem) = problem {
        return show(&page, &deployment, &preview, Some((&form, Some(&problem)))).await;
    }
    match page.act(&form.proven(), Method::POST, &of, &body).await {
        Ok(_) => Ok(back(&deployment, "rollback-ordered")),
        Err(Failure::Refused(refusal)) => show(&page, &deployment, &preview, Some((&form, Some(&refusal)))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_rollback_names_one_thing_and_its_cause() {
        let of = |fields: &[(&str, &str)]| body(&Form::of_texts(fields));
        let all = of(&[("scope", "all"), ("reason", " alarms fail "), ("cause", "operational")]).expect("an order");
        assert_eq!(all, json!({ "reason": "alarms fail", "cause": "safety" }), "everything goes back for safety alone");
        let one = of(&[("scope", "device"), ("device", "D-1"), ("hospital", "H-1"), ("cause", "operational")]);
        assert_eq!(one.expect("an order"), json!({ "reason": "", "deviceId": "D-1", "cause": "operational" }));
        let phase = of(&[("scope", "phase"), ("phase", "2"), ("cause", "safety")]).expect("an order");
        assert_eq!(phase, json!({ "reason": "", "phase": 2, "cause": "safety" }));
        for bad in [
            &[][..],
            &[("scope", "hospital"), ("cause", "safety")],
            &[("scope", "phase"), ("phase", "x"), ("cause", "safety")],
            &[("scope", "device"), ("device", "D-1")],
            &[("scope", "device"), ("device", "D-1"), ("cause", "contained")],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
