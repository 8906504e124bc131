//! Users.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::ListQuery;
use super::request::{Json, Origin, Query, id};
use super::{Api, Problem};
use crate::access::hash_password;
use crate::domain::access::{AccessRole, Permission};
use crate::domain::{Command, Refusal};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewUser {
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
    /// The hospital of a user with the role HospitalStaff.
    #[serde(default)]
    hospital_id: Option<String>,
    password: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    user_id: String,
    printed_name: String,
    roles: Vec<AccessRole>,
    hospital_id: Option<String>,
    second_factor: bool,
    disabled: bool,
}

/// Creates a user; ids are never used twice (21 CFR 11.100(a)).
#[utoipa::path(post, path = "/api/v1/users", request_body = NewUser,
    responses((status = 201, body = UserView), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<UserView>), Problem> {
    let caller = origin.need(&api, Permission::ManageUsers, "user.create", "user").await?;
    let user = id("userId", &new.user_id)?;
    let hospital = new.hospital_id.as_deref().map(|h| id("hospitalId", h)).transpose()?;
    let password = new.password;
    let password_hash = tokio::task::spawn_blocking(move || hash_password(&password))
        .await
        .map_err(|e| Problem::internal("hashing failed", &e))?
        .map_err(|e| Refusal::invalid("password", e))?;
    let view = UserView {
        user_id: new.user_id,
        printed_name: new.printed_name.clone(),
        roles: new.roles.clone(),
        hospital_id: new.hospital_id,
        second_factor: false,
        disabled: false,
    };
    let credential =
        api.credentials.keep(&password_hash).map_err(|e| Problem::internal("the password cannot be kept", &e))?;
    let command = Command::CreateUser { user, printed_name: new.printed_name, roles: new.roles, hospital, credential };
    if let Err(problem) = origin.submit(&api, &caller, command).await {
        api.credentials.forget(credential);
        return Err(problem);
    }
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Lists users.
#[utoipa::path(get, path = "/api/v1/users", params(ListQuery),
    responses((status = 200, body = Vec<UserView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAudit, "user.list", "user").await?;
    let state = api.runner.state();
    query.page(
        "/api/v1/users",
        &state.users,
        |_, _| true,
        |id, u| UserView {
            user_id: id.to_string(),
            printed_name: u.printed_name.clone(),
            roles: u.roles.clone(),
            hospital_id: u.hospital.as_ref().map(ToString::to_string),
            second_factor: u.second_factor.is_some(),
            disabled: u.disabled,
        },
    )
}
