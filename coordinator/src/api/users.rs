//! Users.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list::ListQuery;
use super::people::keep_password;
use super::request::{Json, Origin, Query, id};
use super::{Api, Problem};
use crate::domain::Command;
use crate::domain::access::{AccessRole, Permission};

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
    let view = UserView {
        user_id: new.user_id,
        printed_name: new.printed_name.clone(),
        roles: new.roles.clone(),
        hospital_id: new.hospital_id,
        second_factor: false,
        disabled: false,
    };
    let credential = keep_password(&api, new.password).await?;
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
