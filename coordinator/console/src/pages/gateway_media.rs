//! Gateways that no line reaches: a bundle for removable media, and the telemetry that comes back
//! on it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt, TryStreamExt, stream};
use mdfm_shared::bundle::{Document, Header};
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, settle};
use super::gateways::find;
use crate::api::{path, segment, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT, builder, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/gateways/{{gateway}}/bundle"), get(bundle))
        .route(&format!("{ROOT}/gateways/{{gateway}}/media"), get(media).post(deliver))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "gateways/media.html");
    Ok(())
}

async fn media(page: Page, Path(gateway): Path<String>) -> Result<Response, Failure> {
    media_page(&page, &gateway, None).await
}

async fn media_page(page: &Page, gateway: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let found = find(page, gateway).await?;
    acts::show(page, "gateways/media.html", json!({ "gateway": found, "delivered": null, "answer": null }), refused)
}

/// Sends the bundle as the file that `mdfm-agent` imports: the header, then the images as the API
/// has them.
async fn bundle(page: Page, Path(gateway): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["gateways", &gateway, "bundle"])).await?;
    let header: Header = serde_json::from_value(answer.body).map_err(|error| Failure::Broken(error.to_string()))?;
    let mut images = Vec::new();
    for image in &header.images {
        let digest = image.sha256.to_string();
        let query =
            [("filter", builder::condition("imageSha256", "=", &digest).unwrap_or_default()), ("limit", "1".into())];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = page.api.get(&with_query("/api/v1/firmware", &query)).await?.body;
        let firmware = found[0]["firmwareId"].as_str().unwrap_or_default().to_owned();
        images.push(path(&["firmware", &firmware, "image"]));
    }
    let head = header.encode().map_err(|error| Failure::Broken(error.to_string()))?;
    let api = page.api.clone();
    let rest = stream::iter(images).then(move |path| {
        let api = api.clone();
        async move {
            let image = api.raw(Method::GET, &path, HeaderMap::new(), Body::empty()).await;
            let image = image.map_err(|_| std::io::Error::other("an image cannot be read"))?;
            Ok::<_, std::io::Error>(image.into_body().into_data_stream().map_err(std::io::Error::other))
        }
    });
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(head))]).chain(rest.try_flatten());
    let name = format!("attachment; filename=\"{}.bundle\"", segment(&gateway));
    let headers = [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The documents of what somebody pasted: the header of a telemetry file, or only the list.
fn documents(text: &str) -> Option<Value> {
    // A file has a binary prefix before its header; an editor shows it as some characters.
    let begin = text.find(['{', '['])?;
    let mut values = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Value>();
    let found = values.next()?.ok()?;
    let documents = if found.is_array() { found } else { found["documents"].clone() };
    documents.as_array().is_some_and(|all| !all.is_empty()).then_some(documents)
}

/// The answer for the gateway as the text of an address that a browser saves as a file.
fn answer_file(gateway: &str, delivered: &Value) -> Option<String> {
    let words = ["head", "acknowledgement"].map(|name| &delivered[name]).into_iter().filter(|one| !one.is_null());
    let documents: Vec<Document> =
        words.map(|one| serde_json::from_value(one.clone())).collect::<Result<_, _>>().ok()?;
    let bytes = Header { gateway: gateway.to_owned(), documents, ..Header::default() }.encode().ok()?;
    let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    Some(format!("data:application/octet-stream,{escaped}"))
}

async fn deliver(page: Page, Path(gateway): Path<String>, form: Form) -> Result<Response, Failure> {
    let Some(documents) = documents(form.text("telemetry")) else {
        let detail = "The text has no telemetry documents. Paste the content of the file that mdfm-agent wrote.";
        return media_page(&page, &gateway, Some((&form, &Refusal::of_input("no-documents", detail)))).await;
    };
    let to = path(&["gateways", &gateway, "telemetry"]);
    match settle(page.act(&form, Method::POST, &to, &json!({ "documents": documents })).await)? {
        Ok(answer) => {
            let file = answer_file(&gateway, &answer.body);
            let found = find(&page, &gateway).await?;
            let context = json!({ "gateway": found, "delivered": answer.body, "answer": file });
            page.render_as(StatusCode::OK, "gateways/media.html", context)
        }
        Err(refusal) => media_page(&page, &gateway, Some((&form, &refusal))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_telemetry_is_found_in_what_is_pasted() {
        let document = json!({ "topic": "t", "payload": "AA==" });
        let header = json!({ "gateway": "GW-1", "documents": [document], "proofs": [], "images": [] });
        for text in [format!("MDFM bundle 1\n\0\0~\0\0\0{header}"), header.to_string(), json!([document]).to_string()] {
            assert_eq!(documents(&text), Some(json!([document])), "{text:?}");
        }
        for text in ["", "no json", "{\"documents\": []}", "{\"gateway\": 1}", "[", "[]"] {
            assert_eq!(documents(text), None, "{text:?}");
        }
    }

    #[test]
    fn console_the_answer_for_a_gateway_is_a_bundle() {
        let delivered = json!({ "taken": 1, "head": { "topic": "t", "payload": "AA==" }, "acknowledgement": null });
        let file = answer_file("GW-1", &delivered).expect("a file");
        let magic: String = mdfm_shared::bundle::MAGIC.iter().map(|byte| format!("%{byte:02X}")).collect();
        assert!(file.starts_with(&format!("data:application/octet-stream,{magic}")));
        assert_eq!(answer_file("GW-1", &json!({ "head": 7 })), None);
    }
}
