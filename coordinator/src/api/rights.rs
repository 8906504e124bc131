//! Who may call which route: one row for each, and nothing without a row. Looked at before a request's body is read; the handlers ask again with
//! the object in hand.

use mdfm_coordinator_core::access::{By, Permission};

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Strangers too: to sign in, to enrol with a token, to see whether this is alive.
    Anybody,
    /// Gateways, by their certificate.
    Gateway,
    /// People, in a session, for what is their own.
    Own,
    /// People who have just shown the second factor, for what is their own and acts for them later.
    OwnShown,
    /// Whoever has the permission: for reading.
    Needs(Permission),
    /// Whoever has the permission and is known by at least this: for everything that changes something.
    Decides(Permission, By),
}

impl Right {
    /// As the OpenAPI document writes it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Anybody => "anybody".into(),
            Self::Gateway => "gateway".into(),
            Self::Own | Self::OwnShown => "own".into(),
            Self::Needs(permission) | Self::Decides(permission, _) => {
                serde_json::to_value(permission).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
            }
        }
    }

    /// By what a caller must be known; `None` for routes that are for no person.
    pub(super) fn by(self) -> Option<By> {
        match self {
            Self::Anybody | Self::Gateway => None,
            Self::Own => Some(By::Person),
            Self::OwnShown => Some(By::Factor),
            Self::Needs(permission) => Some(permission.by()),
            Self::Decides(permission, by) => Some(by.max(permission.by())),
        }
    }
}

/// Method, path, and the action by which the audit log knows it.
type Route = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const RIGHTS: &[(Right, &[Route])] = &[
    (Right::Anybody, &[
        ("POST", "/agent/v1/enrolments", "gateway.enrol"),
        ("GET", "/api/v1/compliance/log/checkpoint", "audit.checkpoint"),
        ("GET", "/api/v1/health", "health"),
        ("GET", "/api/v1/readiness", "readiness"),
        ("POST", "/api/v1/displays", "display.begin"),
        ("POST", "/api/v1/displays/{code}/token", "display.collect"),
        ("POST", "/api/v1/sessions", "session.open"),
        ("POST", "/api/v1/sessions/oidc", "session.begin"),
        ("POST", "/api/v1/sessions/oidc/completion", "session.open"),
    ]),
    (Right::Gateway, &[
        ("POST", "/agent/v1/certificates", "gateway.renew"),
        ("GET", "/agent/v1/images/{sha256}", "image.get"),
        ("GET", "/agent/v1/log/consistency", "log.consistency"),
    ]),
    (Right::Own, &[
        ("GET", "/api/v1/approvals/{firmware}/preview", "firmware.approve.preview"),
        ("POST", "/api/v1/approvals/signature", "firmware.approve"),
        ("POST", "/api/v1/deployments/{deployment}/validations/signature", "deployment.validate"),
        ("POST", "/api/v1/rollback-orders/signature", "rollback-order.add"),
        ("POST", "/api/v1/trust/withdrawals/signature", "trust.withdrawals.add"),
        ("POST", "/api/v1/me/second-factor", "user.second-factor.set"),
        ("POST", "/api/v1/me/second-factor/confirmation", "user.second-factor.set"),
        ("PUT", "/api/v1/me/address", "user.address.set"),
        ("PUT", "/api/v1/me/password", "user.password.change"),
        ("POST", "/api/v1/me/signing-key", "user.signing-key.set"),
        ("GET", "/api/v1/me", "user.show"),
        ("GET", "/api/v1/me/notices", "notice.list"),
        ("POST", "/api/v1/me/notices/read", "notice.read"),
        ("GET", "/api/v1/me/tokens", "token.list"),
        ("DELETE", "/api/v1/me/tokens/{token}", "token.revoke"),
        ("POST", "/api/v1/sessions/current/second-factor", "session.step-up"),
        ("DELETE", "/api/v1/sessions/current", "session.close"),
    ]),
    (Right::OwnShown, &[
        ("POST", "/api/v1/displays/{code}/pairing", "token.create"),
        ("POST", "/api/v1/me/tokens", "token.create"),
    ]),
    (Right::Needs(Permission::Read), &[
        ("GET", "/api/v1/compliance/log/proofs/{index}", "audit.proof"),
        ("GET", "/api/v1/deployments", "deployment.list"),
        ("GET", "/api/v1/deployments/{deployment}", "deployment.show"),
        ("GET", "/api/v1/deployments/{deployment}/devices", "deployment.devices"),
        ("GET", "/api/v1/deployments/{deployment}/events", "deployment.watch"),
        ("GET", "/api/v1/deployments/{deployment}/history", "deployment.history"),
        ("GET", "/api/v1/deployments/{deployment}/summary", "deployment.show"),
        ("GET", "/api/v1/devices", "device.list"),
        ("GET", "/api/v1/display", "display.show"),
        ("GET", "/api/v1/devices/{device}/history", "device.history"),
        ("GET", "/api/v1/fhir/Device", "device.list"),
        ("GET", "/api/v1/fhir/Device/{device}", "device.show"),
        ("GET", "/api/v1/incidents", "incident.list"),
        ("GET", "/api/v1/incidents/{incident}", "incident.show"),
        ("GET", "/api/v1/devices/{device}", "device.show"),
        ("GET", "/api/v1/firmware", "firmware.list"),
        ("GET", "/api/v1/firmware/{firmware}/history", "firmware.history"),
        ("GET", "/api/v1/firmware/{firmware}", "firmware.show"),
        ("GET", "/api/v1/hospitals", "hospital.list"),
        ("GET", "/api/v1/hospitals/{hospital}", "hospital.show"),
        ("GET", "/api/v1/roles", "role.list"),
        ("GET", "/api/v1/trust", "trust.show"),
    ]),
    (Right::Needs(Permission::ReadAll), &[
        ("GET", "/api/v1/approvals", "approval.list"),
        ("GET", "/api/v1/deployments/{deployment}/validations/preview", "deployment.validate.preview"),
        // About one object; what is about people alone asks for more.
        ("GET", "/api/v1/compliance/differences/{kind}/{id}", "audit.state"),
        ("GET", "/api/v1/compliance/reports/{kind}/{id}", "report.make"),
        ("GET", "/api/v1/compliance/states/{kind}/{id}", "audit.state"),
        ("GET", "/api/v1/firmware/{firmware}/differences", "firmware.differences"),
        ("GET", "/api/v1/firmware/{firmware}/differences/{other}", "firmware.differences"),
        ("GET", "/api/v1/firmware/{firmware}/image", "firmware.image.get"),
        ("GET", "/api/v1/firmware/{firmware}/parts", "firmware.parts"),
        ("GET", "/api/v1/firmware/{firmware}/sbom", "firmware.sbom.get"),
        ("GET", "/api/v1/deployments/{deployment}/figures", "deployment.figures"),
        ("GET", "/api/v1/fleet/counts", "fleet.counts"),
        ("GET", "/api/v1/fleet/selection", "fleet.select"),
        ("GET", "/api/v1/fleet/versions", "fleet.versions"),
        ("GET", "/api/v1/fleet-link", "fleet-link.read"),
        ("GET", "/api/v1/metrics", "metrics.read"),
        ("GET", "/api/v1/gateways", "gateway.list"),
        ("GET", "/api/v1/cohorts", "cohort.list"),
        ("GET", "/api/v1/groups", "group.list"),
        ("GET", "/api/v1/groups/{group}", "group.show"),
        ("GET", "/api/v1/groups/{group}/devices", "group.devices"),
        ("GET", "/api/v1/settings", "settings.show"),
        ("GET", "/api/v1/recalls", "recall.list"),
        ("GET", "/api/v1/recalls/{recall}", "recall.show"),
        ("GET", "/api/v1/rollback-orders", "rollback-order.list"),
        ("GET", "/api/v1/rollback-orders/{order}", "rollback-order.show"),
    ]),
    (Right::Needs(Permission::ReadAudit), &[
        ("GET", "/api/v1/compliance/audit-logs", "audit.search"),
        ("GET", "/api/v1/compliance/log/tile/{*path}", "audit.export"),
        ("GET", "/api/v1/compliance/log/export", "audit.export"),
        ("GET", "/api/v1/compliance/log/status", "audit.status"),
        ("GET", "/api/v1/compliance/evidence", "audit.export"),
        ("GET", "/api/v1/compliance/evidence/{index}", "audit.export"),
        ("GET", "/api/v1/compliance/reports/{kind}", "report.make"),
        ("GET", "/api/v1/compliance/retention", "retention.show"),
        ("GET", "/api/v1/users", "user.list"),
        ("GET", "/api/v1/users/{user}", "user.show"),
        ("GET", "/api/v1/tokens", "token.list"),
    ]),
    (Right::Needs(Permission::ManageUsers), &[
        ("GET", "/api/v1/webhooks", "webhook.list"),
        ("GET", "/api/v1/notices/dead-letters", "notice.dead-letters"),
    ]),
    (Right::Decides(Permission::ManageUsers, By::Factor), &[
        ("PUT", "/api/v1/webhooks/{webhook}", "webhook.set"),
        ("DELETE", "/api/v1/webhooks/{webhook}", "webhook.remove"),
        ("POST", "/api/v1/notices/dead-letters/{delivery}/retry", "notice.retry"),
        ("PUT", "/api/v1/settings", "settings.set"),
        ("PUT", "/api/v1/users/{user}/identity", "user.identity.verify"),
        ("PUT", "/api/v1/users/{user}/subject", "user.subject.link"),
        ("PUT", "/api/v1/users/{user}/training", "user.training.confirm"),
        ("PUT", "/api/v1/users/{user}/roles", "user.roles"),
        ("POST", "/api/v1/users/{user}/disable", "user.disable"),
        ("POST", "/api/v1/users/{user}/enable", "user.enable"),
        ("POST", "/api/v1/users/{user}/sign-out", "user.sessions.end"),
        ("DELETE", "/api/v1/users/{user}/second-factor", "user.second-factor.remove"),
        ("PUT", "/api/v1/users/{user}/password", "user.password.reset"),
        ("POST", "/api/v1/users", "user.create"),
        ("DELETE", "/api/v1/users/{user}/tokens/{token}", "token.revoke"),
    ]),
    (Right::Decides(Permission::ManageTrust, By::Factor), &[
        ("POST", "/api/v1/trust/roots", "trust.root.add"),
        ("POST", "/api/v1/trust/rosters", "trust.roster.add"),
    ]),
    (Right::Needs(Permission::ManageFleet), &[
        ("GET", "/api/v1/gateways/{gateway}/bundle", "gateway.bundle"),
    ]),
    (Right::Decides(Permission::ManageFleet, By::Token), &[
        ("POST", "/api/v1/gateways/{gateway}/telemetry", "gateway.telemetry"),
        ("POST", "/api/v1/devices", "device.register"),
        ("POST", "/api/v1/devices/import", "device.register"),
        ("PATCH", "/api/v1/devices/{device}", "device.change"),
        ("POST", "/api/v1/gateways", "gateway.register"),
        ("POST", "/api/v1/hospitals", "hospital.register"),
        ("PATCH", "/api/v1/hospitals/{hospital}", "hospital.change"),
        ("PUT", "/api/v1/groups/{group}", "group.set"),
        ("DELETE", "/api/v1/groups/{group}", "group.remove"),
    ]),
    (Right::Decides(Permission::ManageFleet, By::Person), &[
        ("POST", "/api/v1/gateways/{gateway}/enrolment-tokens", "gateway.token"),
        ("POST", "/api/v1/devices/{device}/reconciliation", "device.reconcile"),
        ("POST", "/api/v1/devices/{device}/retirement", "device.retire"),
        ("PATCH", "/api/v1/hospitals/{hospital}/policy", "hospital.policy"),
        ("PUT", "/api/v1/hospitals/{hospital}/policy", "hospital.policy"),
    ]),
    (Right::Decides(Permission::ManageFleet, By::Factor), &[
        ("POST", "/api/v1/gateways/{gateway}/revocation", "gateway.revoke"),
    ]),
    (Right::Decides(Permission::SubmitFirmware, By::Token), &[
        ("POST", "/api/v1/firmware", "firmware.create"),
        ("PUT", "/api/v1/firmware/{firmware}/image", "firmware.image"),
        ("PUT", "/api/v1/firmware/{firmware}/deltas/{sha256}", "firmware.delta"),
        ("PUT", "/api/v1/firmware/{firmware}/manifest", "firmware.manifest"),
        ("PUT", "/api/v1/firmware/{firmware}/sbom", "firmware.sbom"),
    ]),
    (Right::Decides(Permission::Approve, By::Factor), &[
        ("POST", "/api/v1/approvals", "firmware.approve"),
        ("POST", "/api/v1/deployments/{deployment}/validations", "deployment.validate"),
        ("POST", "/api/v1/firmware/{firmware}/rejection", "firmware.reject"),
    ]),
    (Right::Decides(Permission::Deploy, By::Factor), &[
        ("POST", "/api/v1/deployments", "deployment.create"),
        ("POST", "/api/v1/deployments/{deployment}/resume", "deployment.resume"),
    ]),
    (Right::Decides(Permission::Stop, By::Token), &[
        ("POST", "/api/v1/deployments/{deployment}/pause", "deployment.pause"),
    ]),
    (Right::Decides(Permission::Stop, By::Person), &[
        ("POST", "/api/v1/deployments/{deployment}/abort", "deployment.abort"),
    ]),
    (Right::Decides(Permission::RollBack, By::Factor), &[
        ("POST", "/api/v1/deployments/{deployment}/rollback", "deployment.rollback"),
    ]),
    (Right::Decides(Permission::Consent, By::Person), &[
        ("PUT", "/api/v1/deployments/{deployment}/consents/{hospital}", "deployment.consent"),
        ("DELETE", "/api/v1/deployments/{deployment}/consents/{hospital}", "deployment.consent.withdraw"),
    ]),
    (Right::Decides(Permission::ReportIncident, By::Token), &[
        ("POST", "/api/v1/incidents", "incident.open"),
        ("POST", "/api/v1/incidents/{incident}/notes", "incident.note"),
    ]),
    (Right::Decides(Permission::Recall, By::Person), &[
        ("PUT", "/api/v1/incidents/{incident}/decision", "incident.decide"),
        ("PUT", "/api/v1/incidents/{incident}/report", "incident.report"),
        ("POST", "/api/v1/incidents/{incident}/closure", "incident.close"),
        ("POST", "/api/v1/deployments/{deployment}/duties/{duty}", "deployment.duty.fulfil"),
        ("POST", "/api/v1/recalls/{recall}/closure", "recall.close"),
    ]),
    (Right::Decides(Permission::Recall, By::Factor), &[
        ("POST", "/api/v1/firmware/{firmware}/withdrawal", "firmware.withdraw"),
        ("POST", "/api/v1/recalls", "recall.open"),
    ]),
    // It changes nothing.
    (Right::Decides(Permission::ReadAll, By::Token), &[
        ("POST", "/api/v1/rollback-orders/preview", "rollback-order.preview"),
    ]),
    (Right::Decides(Permission::PublishAuthority, By::Factor), &[
        ("POST", "/api/v1/rollback-orders", "rollback-order.add"),
        ("POST", "/api/v1/trust/withdrawals", "trust.withdrawals.add"),
    ]),
    (Right::Decides(Permission::Retain, By::Person), &[
        ("POST", "/api/v1/compliance/holds", "hold.place"),
    ]),
    (Right::Decides(Permission::Retain, By::Factor), &[
        ("PUT", "/api/v1/compliance/retention", "retention.set"),
        ("POST", "/api/v1/compliance/holds/{hold}/release", "hold.release"),
    ]),
    (Right::Decides(Permission::Dispose, By::Factor), &[
        ("POST", "/api/v1/compliance/disposals", "disposal.propose"),
        ("POST", "/api/v1/compliance/disposals/{disposal}/confirmation", "disposal.confirm"),
    ]),
];

/// Whom a route is for, and its action in the audit log; none for a route that nobody has thought of.
pub(super) fn of(method: &str, path: &str) -> Option<(Right, &'static str)> {
    RIGHTS.iter().find_map(|(right, routes)| {
        let row = routes.iter().find(|(m, p, _)| *m == method && *p == path);
        row.map(|(_, _, action)| (*right, *action))
    })
}

/// Every row.
pub(super) fn all() -> impl Iterator<Item = (Right, Route)> {
    RIGHTS.iter().flat_map(|(right, routes)| routes.iter().map(|route| (*right, *route)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::access::AccessRole;

    /// Whoever signs a release sees what happened to it; what names every hospital or the people stays with those who read everything.
    #[test]
    fn cli_32_signers_read_about_what_they_sign() {
        let permission = |path: &str| match of("GET", path) {
            Some((Right::Needs(permission), _)) => permission,
            other => panic!("{path}: {other:?}"),
        };
        let may = |role, path: &str| permission(path).is_granted_to(role);
        for object in ["firmware/{firmware}", "deployments/{deployment}", "devices/{device}"] {
            let path = format!("/api/v1/{object}/history");
            let roles = [AccessRole::Clinical, AccessRole::Qa, AccessRole::Regulatory, AccessRole::HospitalStaff];
            assert!(roles.into_iter().all(|role| may(role, &path)), "{path}");
        }
        for path in ["reports/{kind}/{id}", "states/{kind}/{id}", "differences/{kind}/{id}"] {
            let path = format!("/api/v1/compliance/{path}");
            assert!(may(AccessRole::Clinical, &path) && !may(AccessRole::HospitalStaff, &path), "{path}");
        }
        for path in ["/api/v1/compliance/audit-logs", "/api/v1/compliance/reports/{kind}", "/api/v1/users"] {
            assert!(!may(AccessRole::Clinical, path) && !may(AccessRole::HospitalStaff, path), "{path}");
        }
    }
}
