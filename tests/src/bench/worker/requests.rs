//! What a request costs in a Worker, on warm connections.

use super::*;

/// How many connections are open at once; each has one request on its way.
const CONNECTIONS: usize = 8;
/// How many requests a Worker gets before it is measured: V8 compiles what is hot, certificates become known.
const WARM_UP: usize = 2000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// How often workerd is started.
    pub starts: usize,
    /// How many rounds there are with each workerd.
    pub rounds: usize,
    /// How many requests each Worker gets in a round.
    pub requests: usize,
    /// How many of the ways to ask.
    pub ways: usize,
}

/// A way to ask.
struct Way {
    name: &'static str,
    request: WireRequest,
    /// The name of the client's identity, and what the origin is to be told of it.
    identity: Option<(&'static str, &'static str)>,
    /// What the edge answers.
    status: u16,
}

fn ways() -> Vec<Way> {
    let token = super::super::request(ALIAS);
    let refused = WireRequest {
        target: b"/authorize".to_vec(),
        ..token.clone()
    };
    let self_signed = Some(("self_signed", "FAILED:self-signed certificate"));
    vec![
        Way {
            name: "alias, self-signed",
            request: token.clone(),
            identity: self_signed,
            status: 200,
        },
        Way {
            name: "custom domain, browser",
            request: browser(),
            identity: None,
            status: 200,
        },
        Way {
            name: "alias, CA-signed",
            request: token,
            identity: Some(("ca_client", "SUCCESS")),
            status: 200,
        },
        Way {
            name: "alias, refused",
            request: refused,
            identity: self_signed,
            status: 404,
        },
    ]
}

/// What a browser asks for at the begin of a login.
fn browser() -> WireRequest {
    WireRequest::new(
        "GET",
        DOMAIN,
        "/authorize?client_id=client-1&response_type=code&scope=openid%20profile&state=6fa1b2c3d4e5",
    )
    .header("sec-ch-ua", "\"Chromium\";v=\"142\", \"Not A Brand\";v=\"24\"")
    .header("sec-ch-ua-mobile", "?0")
    .header("sec-ch-ua-platform", "\"Linux\"")
    .header("upgrade-insecure-requests", "1")
    .header(
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    )
    .header(
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    )
    .header("sec-fetch-site", "cross-site")
    .header("sec-fetch-mode", "navigate")
    .header("sec-fetch-dest", "document")
    .header("referer", "https://app.example.test/")
    .header("accept-encoding", "gzip, deflate, br, zstd")
    .header("accept-language", "de-AT,de;q=0.9,en;q=0.8")
    .header(
        "cookie",
        "did=s%3Av0%3A5b1f0c2e-6f4d-4f0e-8a53-1f2e3d4c5b6a.Zm9vYmFyYmF6; auth0=s%3Av1.gadzZXNzaW9ugqZoYW5kbGXEQ; \
         lang=de; consent=1",
    )
}

/// Measures the peers, and shows medians over the starts of medians over the rounds.
///
/// # Errors
/// When workerd does not start, or a Worker does not do its job.
pub fn run(programs: &Programs, amount: Amount) -> Outcome {
    let mut ways = ways();
    ways.truncate(amount.ways);
    let mut starts = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..amount.starts {
        let (stage, all) = Stage::start(programs)?;
        let of_way = |way| measure(&stage, &all, way, amount);
        starts.push(ways.iter().map(of_way).collect::<Result<Vec<_>, _>>()?);
        peers = all;
    }
    println!(
        "{:23} {:18} {:>10} {:>15} {:>8} {:>8} {:>10} {:>12}   each start",
        "", "", "us/request", "middle half", "added", "of lean", "of straight", "requests/s"
    );
    for (w, way) in ways.iter().enumerate() {
        let column = |peer: &str, what: fn(&Round) -> f64| -> Vec<Vec<f64>> {
            let index = peers.iter().position(|it| it.name == peer);
            let of_start = |start: &Vec<Vec<Vec<Round>>>| {
                let rounds = index.and_then(|index| start[w].get(index));
                rounds.into_iter().flatten().map(what).collect()
            };
            starts.iter().map(of_start).collect()
        };
        let microseconds = |peer: &str| column(peer, |round| round.microseconds);
        // Each round is compared with itself, which takes out what changes between them.
        let against = |peer: &str, other: &str, compare: fn(f64, f64) -> f64| -> Vec<f64> {
            let pairs = microseconds(peer).into_iter().zip(microseconds(other));
            let of_start = |(one, other): (Vec<f64>, Vec<f64>)| {
                let rounds = one.iter().zip(&other);
                median(
                    &rounds
                        .map(|(one, other)| compare(*one, *other))
                        .collect::<Vec<_>>(),
                )
            };
            pairs.map(of_start).collect()
        };
        for peer in peers.iter().filter(|peer| way.asks(peer)) {
            let name = peer.name.as_str();
            let mut all: Vec<f64> = microseconds(name).concat();
            all.sort_by(f64::total_cmp);
            let each: Vec<f64> = microseconds(name).iter().map(|it| median(it)).collect();
            let rates = column(name, |round| round.rate);
            let rates: Vec<f64> = rates.iter().map(|it| median(it)).collect();
            let added = match way.status {
                200 => format!("{:.1}", median(&against(name, PASSTHROUGH, |a, b| a - b))),
                _ => String::new(),
            };
            println!(
                "{:23} {name:18} {:10.1} {:>15} {added:>8} {:8.2} {:11.2} {:12.0}   {}",
                way.name,
                median(&each),
                format!("{:.1}-{:.1}", all[all.len() / 4], all[all.len() * 3 / 4]),
                median(&against(name, LEAN, |a, b| a / b)),
                median(&against(name, STRAIGHTFORWARD, |a, b| a / b)),
                median(&rates),
                each.iter()
                    .map(|us| format!("{us:.1}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            );
        }
    }
    Ok(())
}

/// What a round of one peer gave.
struct Round {
    microseconds: f64,
    /// Requests a second.
    rate: f64,
}

/// Sends to each peer in turn; gives for each peer its rounds, none for those that are not asked.
fn measure(
    stage: &Stage,
    peers: &[Peer],
    way: &Way,
    amount: Amount,
) -> Result<Vec<Vec<Round>>, Box<dyn Error>> {
    let identity = way.identity.map(|(name, _)| stage.pki.get(name));
    let identity = identity.transpose()?;
    let request = arrived(&way.request, identity);
    let open = |peer: &Peer, uncounted| -> Result<Vec<Client>, Box<dyn Error>> {
        let address = stage.address(&peer.name)?;
        let open = (0..CONNECTIONS).map(|_| Client::open(address));
        let mut open: Vec<Client> = open.collect::<Result<_, _>>()?;
        send(&mut open, &request, way.status, uncounted)?;
        Ok(open)
    };
    for peer in peers.iter().filter(|peer| way.asks(peer)) {
        way.ensure_right(stage, peer)?;
        open(peer, WARM_UP)?;
    }
    let mut all: Vec<Vec<Round>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..amount.rounds {
        // Who comes first changes, and after whom.
        let mut order: Vec<usize> = (0..peers.len()).collect();
        order.rotate_left(round % peers.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let peer = &peers[index];
            if !way.asks(peer) {
                continue;
            }
            // workerd closes connections on which nothing comes for some seconds, as while the others are asked.
            let mut clients = open(peer, CONNECTIONS)?;
            let (before, start) = (stage.cpu_time()?, Instant::now());
            let sent = send(&mut clients, &request, way.status, amount.requests)?;
            let (took, spent) = (start.elapsed(), stage.cpu_time()?.saturating_sub(before));
            all[index].push(Round {
                microseconds: spent.as_secs_f64() * 1e6 / sent as f64,
                rate: sent as f64 / took.as_secs_f64(),
            });
        }
    }
    Ok(all)
}

/// Sends at least this many requests, one on each connection at a time; gives how many.
fn send(
    clients: &mut [Client],
    request: &WireRequest,
    status: u16,
    count: usize,
) -> Result<usize, Box<dyn Error>> {
    let bytes = encode(request);
    let turns = count.div_ceil(clients.len());
    for _ in 0..turns {
        for client in &*clients {
            client.write(&bytes)?;
        }
        for client in &mut *clients {
            let answer = client.read(&request.method)?;
            if answer.status != status {
                return Err(format!("{} in place of {status}", answer.status).into());
            }
        }
    }
    Ok(turns * clients.len())
}

impl Way {
    /// Whether a peer is asked this way: who only forwards refuses nothing.
    fn asks(&self, peer: &Peer) -> bool {
        self.status == 200 || peer.job == Job::Decide
    }

    /// Fails unless the peer does its job: fields that a client may not send are gone, the right ones are there.
    ///
    /// Who does less, or the wrong thing, would have a fine result.
    fn ensure_right(&self, stage: &Stage, peer: &Peer) -> Outcome {
        let identity = self.identity.map(|(name, _)| stage.pki.get(name));
        let identity = identity.transpose()?;
        let request = self.request.clone();
        let request = request
            .header("Client_Certificate", "of-the-client")
            .header("x--ssl-client-verify", "of-the-client")
            .header("X-Forwarded-For", "of-the-client")
            .header("cname-api-key", "of-the-client");
        stage.origin.take();
        let mut client = Client::open(stage.address(&peer.name)?)?;
        let answer = client.send(&arrived(&request, identity))?;
        let head = stage.origin.take();
        let body = String::from_utf8_lossy(&answer.body);
        let wrong = |what: &str| -> Outcome {
            let (peer, way, status) = (&peer.name, self.name, answer.status);
            Err(format!("{way}: {peer} {what}; {status} {body}; the origin got:\n{head}").into())
        };
        if answer.status != self.status {
            return wrong("has another status");
        }
        if self.status != 200 {
            return match head.is_empty() && body.contains("\"path_not_allowed\"") {
                true => Ok(()),
                false => wrong("did not refuse"),
            };
        }
        let target = String::from_utf8_lossy(&self.request.target);
        let mut told = vec![("host", ORIGIN.to_owned())];
        if peer.job == Job::Decide {
            if head.contains("of-the-client") {
                return wrong("forwards what a client may not say");
            }
            told.push(("cname-api-key", API_KEY.to_owned()));
            told.push(("x-forwarded-for", CLIENT.to_string()));
            told.push(("x-forwarded-proto", "https".to_owned()));
            let host = self.request.authority.as_deref().unwrap_or_default();
            told.push((
                "x-forwarded-host",
                String::from_utf8_lossy(host).into_owned(),
            ));
            if let (Some(identity), Some((_, verdict))) = (identity, self.identity) {
                let certificate = encode_uri_component(&identity.leaf_pem());
                told.push(("client-certificate", certificate));
                told.push(("client-certificate-ca-verified", verdict.to_owned()));
            }
        }
        let is_there = |(name, value): &(&str, String)| {
            let mut values = head.lines().filter_map(|line| {
                let (field, value) = line.split_once(':')?;
                field.eq_ignore_ascii_case(name).then(|| value.trim())
            });
            values.next() == Some(value.as_str()) && values.next().is_none()
        };
        if let Some((name, _)) = told.iter().find(|field| !is_there(field)) {
            return wrong(&format!("does not tell `{name}`"));
        }
        match head.split(' ').nth(1) == Some(&target) && body == "{\"origin\":true}" {
            true => Ok(()),
            false => wrong("changed the target or the answer"),
        }
    }
}
