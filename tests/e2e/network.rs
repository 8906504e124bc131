//! Hospital networks as they are: nothing goes out but through a proxy, nothing but HTTPS; and certificates that end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mdfm_tests::{Layout, Role, World, hospital_id, wait_for};

use crate::{fresh_dir, image};

/// `gw:secret` in base64.
const CREDENTIALS: &str = "Z3c6c2VjcmV0";

/// An HTTP proxy that carries only CONNECT, and only for who knows the password.
struct Proxy {
    port: u16,
    carried: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (carried, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&carried), Arc::clone(&refused));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let (carried, refused) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                std::thread::spawn(move || match carry(near) {
                    Some(()) => carried.fetch_add(1, Ordering::Relaxed),
                    None => refused.fetch_add(1, Ordering::Relaxed),
                });
            }
        });
        Self { port, carried, refused }
    }
}

/// Carries one connection to its end; none if it was refused.
fn carry(near: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(near.try_clone().ok()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let to = head.first()?.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let known =
        head.iter().any(|l| l.to_lowercase().starts_with("proxy-authorization: basic ") && l.ends_with(CREDENTIALS));
    let mut near = near;
    if !known {
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").ok()?;
        return None;
    }
    let mut far = TcpStream::connect(to).ok()?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let mut back = (far.try_clone().ok()?, near.try_clone().ok()?);
    let other = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back.0, &mut back.1);
        let _ = back.1.shutdown(std::net::Shutdown::Both);
    });
    let mut early = vec![0; reader.buffer().len()];
    reader.read_exact(&mut early).ok()?;
    far.write_all(&early).ok()?;
    let _ = std::io::copy(&mut reader, &mut far);
    let _ = far.shutdown(std::net::Shutdown::Both);
    let _ = other.join();
    Some(())
}

#[test]
fn a_gateway_behind_a_proxy_speaks_mqtt_over_websocket_and_renews_its_certificate() {
    let dir = fresh_dir("proxy");
    let proxy = Proxy::start();
    let road = |credentials: &str, days: u32| {
        format!(
            "proxy = \"http://{credentials}127.0.0.1:{}\"\nwebsocket = true\nrenew_before_days = {days}\n",
            proxy.port
        )
    };
    let more_agent_config = road("gw:secret@", 30);
    let mut world =
        World::start(&dir, Layout { hospitals: 1, devices: 1, more_agent_config, ..Layout::default() }).unwrap();
    let identity = world.agent_state(1).join("identity.json");
    let certificate = || {
        let identity: serde_json::Value = serde_json::from_slice(&std::fs::read(&identity).unwrap()).unwrap();
        identity["certificate_pem"].as_str().unwrap().to_owned()
    };
    wait_for("the gateway to connect", Duration::from_secs(40), || {
        Ok((world.link()?["connections"]["websockets"].as_u64() > Some(0)).then_some(()))
    })
    .unwrap();
    // A certificate lasts 90 days: told to renew it so early, the agent does at once.
    let first = certificate();
    world.kill_agent(1);
    let config = dir.join("agent-001.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&road("gw:secret@", 30), &road("gw:secret@", 90))).unwrap();
    world.start_agent(1).unwrap();
    wait_for("the certificate to be renewed", Duration::from_secs(40), || {
        let found = world.ctl(Role::Auditor, &["audit", "search", "--action", "gateway.renew"])?;
        Ok(found["records"].as_array().is_some_and(|r| !r.is_empty()).then_some(()))
    })
    .unwrap();
    let image = image(&dir, 1, 1_000_001);
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0).unwrap();
    let id = world.deploy("FW-2.2.0", &World::progressive(&hospital_id(1), "PT0S")).unwrap();
    wait_for("the device to be updated", Duration::from_secs(60), || {
        Ok((world.deployment(&id)?["devices"][0]["state"] == "confirmed").then_some(()))
    })
    .unwrap();
    let link = world.link().unwrap();
    assert!(link["connections"]["websockets"].as_u64().unwrap() >= 3, "before and after the renewal: {link:#}");
    assert!(proxy.carried.load(Ordering::Relaxed) >= 2, "enrolment and the connection with the first certificate");

    // The new certificate is the one that lasts: it connects after a restart too.
    assert_ne!(certificate(), first, "another certificate is kept now");
    world.kill_agent(1);
    let before = world.link().unwrap()["connections"]["websockets"].as_u64().unwrap();
    world.start_agent(1).unwrap();
    wait_for("the agent to come back", Duration::from_secs(40), || {
        Ok((world.link()?["connections"]["websockets"].as_u64() > Some(before)).then_some(()))
    })
    .unwrap();

    // Without the password nothing goes out, and the agent says whose refusal it is.
    world.kill_agent(1);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&road("gw:secret@", 90), &road("", 90))).unwrap();
    let refused = proxy.refused.load(Ordering::Relaxed);
    world.start_agent(1).unwrap();
    wait_for("the proxy to refuse", Duration::from_secs(40), || {
        let log = std::fs::read_to_string(dir.join("logs/agent-001.log"))?;
        Ok((proxy.refused.load(Ordering::Relaxed) > refused && log.contains("the proxy answered 407")).then_some(()))
    })
    .unwrap();
}
