//! What every page has: the reader, what they may do, the form token; and how pages are made.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::{self, Answer, Api, Precondition};
use crate::failure::{Failure, Refusal};
use crate::form::{self, Form};
use crate::session::{form_token, is_display};
use crate::view::View;
use crate::{Console, assets, filters};

/// Where pages may load things from and send forms to: this host alone. Nothing inline, nothing evaluated.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types console";

/// Set on a request that a page makes automatically.
pub(crate) const LOOK: HeaderName = HeaderName::from_static("mdfm-look");

/// One page for one reader.
pub(crate) struct Page {
    pub(crate) api: Api,
    /// The reader's account, as `GET /api/v1/me` answers.
    pub(crate) me: Value,
    console: Console,
    session: String,
    path: String,
    query: Vec<(String, String)>,
}

fn pairs(parts: &Parts) -> Vec<(String, String)> {
    parts.uri.query().and_then(|query| serde_urlencoded::from_str(query).ok()).unwrap_or_default()
}

impl FromRequestParts<Console> for Page {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Failure> {
        // A display has one page, and that one is made without somebody signed in.
        let session = crate::token(&parts.headers).filter(|token| !is_display(token));
        let Some(session) = session else { return Err(Failure::SignedOut) };
        let is_look = parts.headers.contains_key(LOOK) && parts.method.is_safe();
        let api = Api::new(console, &parts.extensions, Some(session.clone()), is_look);
        let me = api.get("/api/v1/me").await?.body;
        let console = console.seen_by(&parts.headers);
        Ok(Self { api, me, console, session, path: parts.uri.path().to_owned(), query: pairs(parts) })
    }
}

impl Page {
    /// A parameter of the query; empty if it is missing.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str())
    }

    /// The query as the fields of a form that a link fills in.
    pub(crate) fn linked_form(&self) -> Form {
        Form::from_link(&self.query)
    }

    /// Every value of a parameter that repeats.
    pub(crate) fn queries(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the reader's roles include a permission of the API.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.me["permissions"].as_array().is_some_and(|all| all.iter().any(|one| one == permission))
    }

    /// What is read only shortly after the second factor was shown: the page asks for it first,
    /// instead of being refused and recorded for that.
    ///
    /// # Errors
    /// The factor does not count any more.
    pub(crate) fn need_factor(&self) -> Result<(), Failure> {
        if !self.me["session"]["factorCountsUntil"].is_null() || self.me["secondFactor"] != true {
            return Ok(());
        }
        let detail = "Show the second factor; it counts for some minutes.".to_owned();
        let status = StatusCode::FORBIDDEN.as_u16();
        Err(Failure::Refused(Refusal { status, code: "step-up".into(), detail }))
    }

    /// Reads what may be absent, if the reader has the permission that it needs: a page that asked
    /// without it would leave a refusal in the audit log
    /// at every look. `null` otherwise.
    ///
    /// # Errors
    /// As [`Api::find`].
    pub(crate) async fn find_if(&self, permission: &str, path: &str) -> Result<Value, Failure> {
        if self.may(permission) { self.api.find(path).await } else { Ok(Value::Null) }
    }

    /// How the reader looks at pages.
    pub(crate) fn view(&self) -> &View {
        &self.console.view
    }

    /// Makes the page.
    ///
    /// # Errors
    /// A defect of the template.
    pub(crate) fn render(&self, template: &str, context: Value) -> Result<Response, Failure> {
        self.render_as(StatusCode::OK, template, context)
    }

    /// Makes the page with another status.
    ///
    /// # Errors
    /// A defect of the template.
    pub(crate) fn render_as(&self, status: StatusCode, template: &str, context: Value) -> Result<Response, Failure> {
        let permissions = self.me["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let may: Map<String, Value> = permissions.map(|permission| (permission.to_owned(), true.into())).collect();
        let query: Map<String, Value> = self.query.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect();
        let mut all = json!({
            "me": self.me,
            "may": may,
            "here": self.path.split('/').nth(2).unwrap_or_default(),
            "path": self.path,
            "query": query,
            "here_url": api::with_query(&self.path, &self.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>()),
            "form_token": form_token(&self.session),
            "input": {},
            "problem": null,
        });
        merge(&mut all, context);
        Ok(make(&self.console, status, template, all)?)
    }

    /// Makes the page again after an act that was refused, with the reason and what was typed.
    ///
    /// # Errors
    /// A defect of the template.
    pub(crate) fn render_refused(
        &self,
        template: &str,
        mut context: Value,
        form: &Form,
        refusal: &Refusal,
    ) -> Result<Response, Failure> {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
        self.render_as(status, template, context)
    }

    /// Carries out an act of the API that a form asks for. Where the second factor must be shown again first, the form's own field brings it, or a
    /// page asks for it and keeps the form.
    ///
    /// # Errors
    /// As [`Api::send`]; [`Failure::StepUp`] if the second factor is needed.
    pub(crate) async fn act(
        &self,
        form: &Form,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        self.step_up(form).await?;
        let precondition = precondition(form, &method, path, body);
        self.send(form, method, path, Some(body), &precondition).await
    }

    /// The same for an act of the API that takes no body.
    ///
    /// # Errors
    /// As [`Page::act`].
    pub(crate) async fn act_without_body(&self, form: &Form, method: Method, path: &str) -> Result<Answer, Failure> {
        self.step_up(form).await?;
        let precondition = precondition(form, &method, path, &());
        self.send(form, method, path, None::<&()>, &precondition).await
    }

    /// Asks the API what an act would lead to: like [`Page::act`], but without the key and the tag, which belong to the act itself.
    ///
    /// # Errors
    /// As [`Page::act`].
    pub(crate) async fn rehearse(
        &self,
        form: &Form,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        self.step_up(form).await?;
        self.send(form, method, path, Some(body), &Precondition::default()).await
    }

    /// Shows the second factor that a form brings, if it brings one.
    async fn step_up(&self, form: &Form) -> Result<(), Failure> {
        if let Some(code) = form.secret(form::STEP_UP) {
            let (path, body) = ("/api/v1/sessions/current/second-factor", json!({ "code": code.trim() }));
            match self.api.send(Method::POST, path, Some(&body), &Precondition::default()).await {
                Ok(_) => {}
                Err(Failure::Refused(wrong)) => return Err(Failure::StepUp { form: form.clone(), wrong: Some(wrong) }),
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        form: &Form,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        precondition: &Precondition,
    ) -> Result<Answer, Failure> {
        match self.api.send(method, path, body, precondition).await {
            Err(Failure::Refused(refusal)) if refusal.code == "step-up" => {
                Err(Failure::StepUp { form: form.clone(), wrong: None })
            }
            answered => answered,
        }
    }
}

/// What an act carries of its form: the key by which it is recognised again, and the tag of what was shown.
fn precondition(form: &Form, method: &Method, path: &str, body: &impl Serialize) -> Precondition {
    let text = |name| Some(form.text(name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let key = text(form::KEY).map(|key| key_of(&key, method, path, body));
    Precondition { key, tag: text(form::TAG) }
}

/// The key of one act: the same form sent twice is one act. Another form of the page, or the same one with other input after a step back in the
/// browser, is another act.
fn key_of(form_key: &str, method: &Method, path: &str, body: &impl Serialize) -> String {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let parts = [form_key.as_bytes(), method.as_str().as_bytes(), path.as_bytes(), &body];
    let digest = parts
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
    hex::encode(&digest.finalize()[..16])
}

/// Adds the fields of one object to another.
fn merge(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// A page for whoever it is, also for nobody.
pub(crate) fn plain(
    console: &Console,
    status: StatusCode,
    template: &str,
    context: Value,
    session: Option<&str>,
) -> Result<Response, minijinja::Error> {
    let mut all = json!({
        "me": null, "may": {}, "here": "", "path": "", "query": {}, "here_url": crate::ROOT, "input": {}, "problem": null,
        "form_token": session.map(form_token).unwrap_or_default(),
    });
    merge(&mut all, context);
    make(console, status, template, all)
}

fn make(
    console: &Console,
    status: StatusCode,
    template: &str,
    mut context: Value,
) -> Result<Response, minijinja::Error> {
    context["form_key"] = fresh_key().into();
    context["version"] = console.version.into();
    context["made_at"] = jiff::Timestamp::now().to_string().into();
    context["view"] = json!(console.view);
    let template = console.templates.get_template(template)?;
    let permissions =
        context["may"].as_object().into_iter().flatten().map(|(permission, _)| permission.clone()).collect();
    let render = || template.render(minijinja::Value::from(Serde(&context)));
    let shown = filters::for_reader(&console.view.zone, permissions, render)?;
    Ok((status, Html(shown)).into_response())
}

/// 128 random bits as text.
fn fresh_key() -> String {
    let mut bytes = [0; 16];
    // Without randomness there is no key, and a repeated form is not recognised: that alone.
    getrandom::fill(&mut bytes).map(|()| hex::encode(bytes)).unwrap_or_default()
}

/// Leads on after an act; the page says what was done.
pub(crate) fn done(path: &str, what: &str) -> Response {
    let to = api::with_query(path, &[("done", what)]);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// What every answer of the console says to the browser.
pub(crate) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if headers.get(header::CACHE_CONTROL).is_none_or(|value| value != assets::FOR_EVER) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_11_a_form_sent_twice_is_one_act() {
        let key = |form_key, method, path, reason: &str| key_of(form_key, &method, path, &json!({ "reason": reason }));
        let first = key("k", Method::POST, "/api/v1/a", "x");
        assert_eq!(first, key("k", Method::POST, "/api/v1/a", "x"));
        for other in [
            key("l", Method::POST, "/api/v1/a", "x"),
            key("k", Method::PUT, "/api/v1/a", "x"),
            key("k", Method::POST, "/api/v1/b", "x"),
            key("k", Method::POST, "/api/v1/a", "y"),
        ] {
            assert_ne!(first, other);
        }
    }
}
