//! How WasmX runs a module: which host functions there are, and what they do here.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmi::{Caller, Engine, Extern, Instance, Linker, Module, Store, TypedFunc};

use crate::wire::Fields;

/// The host functions of WasmX that a module for proxy-wasm 0.2.1 can import (`ngx_proxy_wasm_host.c`); a module
/// that imports another does not start. `proxy_get_log_level` is left out: not every version has it.
const HOST_FUNCTIONS: &[&str] = &[
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_close_stream",
    "proxy_continue_request",
    "proxy_continue_response",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_register_shared_queue",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_resolve_shared_queue",
    "proxy_send_local_response",
    "proxy_set_buffer_bytes",
    "proxy_set_effective_context",
    "proxy_set_header_map_pairs",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// Its functions of WASI (`ngx_wasi_preview1_host.c`).
const WASI_FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// The exports that WasmX calls without looking whether they are there: without one the worker crashes.
const CALLED: &[&str] = &[
    "malloc",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_vm_start",
];

/// How many header fields a module is shown, WasmX's own included (`NGX_HTTP_WASM_MAX_REQ_HEADERS`).
const SHOWN_FIELDS: usize = 100;

/// What NGINX's parser takes for one parameter of a directive (`NGX_CONF_BUFFER`), in bytes.
const LONGEST_PARAMETER: usize = 4096;

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_ARGUMENT: i32 = 2;
const INTERNAL_FAILURE: i32 = 10;

const REQUEST_HEADERS: i32 = 0;
const VM_CONFIGURATION: i32 = 6;
const PLUGIN_CONFIGURATION: i32 = 7;

/// The context of the filter itself, and of the requests.
const ROOT: i32 = 1;

/// How the module is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The configuration of the module.
    pub vm_configuration: String,
    /// The configuration of the filter.
    pub configuration: String,
    /// The environment that NGINX keeps.
    pub environment: BTreeMap<String, String>,
}

/// What NGINX holds of a request that a module can ask for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `:path`, `:method`, `:scheme` and `:authority`, in this order.
    pub pseudo: Fields,
    /// The header fields.
    pub fields: Fields,
    /// The variables, by name.
    pub variables: BTreeMap<String, Vec<u8>>,
    /// The variables that can be set.
    pub changeable: std::collections::BTreeSet<String>,
    /// Whether there is a body.
    pub body: Option<Vec<u8>>,
}

/// An element of NGINX's list of header fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// The name.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Whether it has its hash: removing sets that to 0 and leaves the element.
    pub is_hashed: bool,
}

impl Element {
    /// The list as it is when nothing was removed from it yet.
    pub fn list(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<Self> {
        let element = |(name, value): &(Vec<u8>, Vec<u8>)| Self {
            name: name.clone(),
            value: value.clone(),
            is_hashed: true,
        };
        fields.iter().map(element).collect()
    }
}

/// What a module made of a request.
#[derive(Clone, Debug)]
pub enum Made {
    /// It lets it pass.
    Passed {
        /// The header fields as they are then.
        elements: Vec<Element>,
        /// The variables it has set.
        variables: BTreeMap<String, Vec<u8>>,
    },
    /// It answered.
    Answered {
        /// The status.
        status: u16,
        /// The header fields.
        headers: Fields,
        /// The body.
        body: Vec<u8>,
    },
}

#[derive(Default)]
struct State {
    setup: Setup,
    request: Option<Request>,
    elements: Vec<Element>,
    set: BTreeMap<String, Vec<u8>>,
    answer: Option<(u16, Fields, Vec<u8>)>,
    log: Vec<String>,
    metrics: Vec<(String, i64)>,
}

/// A worker of the fake, with the module started and configured.
pub struct Worker {
    store: Store<State>,
    instance: Instance,
    next_context: i32,
}

/// Compiles the module.
///
/// # Errors
/// When it is none, or one of those that WasmX refuses.
pub fn compile(bytes: &[u8]) -> Result<Module, Box<dyn Error>> {
    let engine = Engine::default();
    let module = Module::new(&engine, bytes)?;
    for name in CALLED {
        if module.get_export(name).is_none() {
            return Err(
                format!("the worker would crash: the module lacks the export {name}").into(),
            );
        }
    }
    Ok(module)
}

impl Worker {
    /// Starts the module as a worker does.
    ///
    /// # Errors
    /// When it does not start, or refuses its configuration: then the worker ends. Says what it logged.
    pub fn start(module: &Module, setup: Setup) -> Result<Self, Box<dyn Error>> {
        for (what, text) in [
            ("the module", &setup.vm_configuration),
            ("the filter", &setup.configuration),
        ] {
            if text.len() >= LONGEST_PARAMETER {
                return Err(format!("nginx.conf: the configuration of {what} is too long").into());
            }
        }
        let (vm, plugin) = (setup.vm_configuration.len(), setup.configuration.len());
        let mut store = Store::new(
            module.engine(),
            State {
                setup,
                ..State::default()
            },
        );
        let instance = linker(module)?.instantiate_and_start(&mut store, module)?;
        let mut worker = Self {
            store,
            instance,
            next_context: ROOT,
        };
        worker.call::<(), ()>("_initialize", ())?;
        worker.call::<(i32, i32), ()>("proxy_on_context_create", (ROOT, 0))?;
        let started: i32 = worker.call("proxy_on_vm_start", (ROOT, i32::try_from(vm)?))?;
        let configured = match started {
            0 => 0,
            _ => worker.call("proxy_on_configure", (ROOT, i32::try_from(plugin)?))?,
        };
        if configured == 0 {
            return Err(format!("the worker ends: {}", worker.store.data().log.join("\n")).into());
        }
        Ok(worker)
    }

    /// Runs a request through the module, as far as the access phase.
    ///
    /// # Errors
    /// When the module traps, which NGINX answers 500.
    pub fn run(&mut self, request: Request) -> Result<Made, Box<dyn Error>> {
        let count = i32::try_from(request.fields.len())?;
        let body = request.body.as_ref().map(Vec::len);
        let state = self.store.data_mut();
        state.elements = Element::list(&request.fields);
        state.request = Some(request);
        state.set.clear();
        state.answer = None;
        self.next_context += 1;
        let context = self.next_context;
        self.call::<_, ()>("proxy_on_context_create", (context, ROOT))?;
        let action: i32 = self.call("proxy_on_request_headers", (context, count, 0))?;
        let answer = self.store.data_mut().answer.take();
        if let (None, Some(length @ 1..)) = (&answer, body) {
            let length = i32::try_from(length)?;
            let _: i32 = self.call("proxy_on_request_body", (context, length, 1))?;
        }
        let state = self.store.data_mut();
        let (elements, variables) = (state.elements.clone(), state.set.clone());
        // What follows the answer, whoever gave it.
        let _: i32 = self.call("proxy_on_response_headers", (context, 0, 0))?;
        let _: i32 = self.call("proxy_on_response_body", (context, 0, 1))?;
        let _: i32 = self.call("proxy_on_done", context)?;
        self.call::<_, ()>("proxy_on_log", context)?;
        self.call::<_, ()>("proxy_on_delete", context)?;
        self.store.data_mut().request = None;
        match (answer, action) {
            (Some((status, headers, body)), _) => Ok(Made::Answered {
                status,
                headers,
                body,
            }),
            (None, 0) => Ok(Made::Passed {
                elements,
                variables,
            }),
            (None, other) => {
                Err(format!("the request hangs: action {other} without an answer").into())
            }
        }
    }

    /// What was logged since the last time.
    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.store.data_mut().log)
    }

    /// A counter, when the module defined it.
    pub fn counter(&self, name: &str) -> Option<i64> {
        let mut metrics = self.store.data().metrics.iter();
        let found = metrics.find(|(other, _)| other == name);
        found.map(|(_, value)| *value)
    }

    fn call<Parameters, Results>(
        &mut self,
        name: &str,
        parameters: Parameters,
    ) -> Result<Results, Box<dyn Error>>
    where
        Parameters: wasmi::WasmParams,
        Results: wasmi::WasmResults,
    {
        let function: TypedFunc<Parameters, Results> =
            self.instance.get_typed_func(&self.store, name)?;
        let called = function.call(&mut self.store, parameters);
        Ok(called.map_err(|error| format!("trap in {name}: {error}"))?)
    }
}

type Result32 = Result<i32, wasmi::Error>;
type Host<'a> = Caller<'a, State>;

fn trap<T>(why: &str) -> Result<T, wasmi::Error> {
    Err(wasmi::Error::new(why.to_owned()))
}

/// Bytes of the module's memory.
fn read(host: &Host<'_>, at: i32, length: i32) -> Result<Vec<u8>, wasmi::Error> {
    let memory = host.get_export("memory").and_then(Extern::into_memory);
    let (Some(memory), Ok(at), Ok(length)) = (memory, usize::try_from(at), usize::try_from(length))
    else {
        return trap("no such memory");
    };
    let mut bytes = vec![0; length];
    match memory.read(host, at, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => trap("outside of memory"),
    }
}

fn write(host: &mut Host<'_>, at: i32, bytes: &[u8]) -> Result<(), wasmi::Error> {
    let memory = host.get_export("memory").and_then(Extern::into_memory);
    let (Some(memory), Ok(at)) = (memory, usize::try_from(at)) else {
        return trap("no such memory");
    };
    match memory.write(host, at, bytes) {
        Ok(()) => Ok(()),
        Err(_) => trap("outside of memory"),
    }
}

fn write_number(host: &mut Host<'_>, at: i32, number: usize) -> Result<(), wasmi::Error> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    write(host, at, &number.to_le_bytes())
}

/// Gives bytes to the module, in memory that it allocates itself.
fn give(host: &mut Host<'_>, bytes: &[u8], data: i32, size: i32) -> Result32 {
    let malloc = host.get_export("malloc").and_then(Extern::into_func);
    let Some(malloc) = malloc else {
        return trap("no malloc");
    };
    let malloc: TypedFunc<i32, i32> = malloc.typed(&*host)?;
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    let at = malloc.call(&mut *host, length)?;
    write(host, at, bytes)?;
    write(host, data, &at.to_le_bytes())?;
    write_number(host, size, bytes.len())?;
    Ok(OK)
}

/// A list of pairs as proxy-wasm writes it.
fn marshalled(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend_from_slice(&number(name.len()));
        bytes.extend_from_slice(&number(value.len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

fn unmarshalled(bytes: &[u8]) -> Option<Fields> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if bytes.is_empty() {
        return Some(Fields::new());
    }
    let count = number(0)?;
    let mut at = 4 + 8 * count;
    let mut pairs = Fields::new();
    for index in 0..count {
        let mut text = |length: usize| {
            let text = bytes.get(at..at + length)?.to_vec();
            at += length + 1;
            Some(text)
        };
        let name = text(number(4 + 8 * index)?)?;
        let value = text(number(8 + 8 * index)?)?;
        pairs.push((name, value));
    }
    Some(pairs)
}

/// The host functions: those that the filter uses, and traps for the others that WasmX has.
fn linker(module: &Module) -> Result<Linker<State>, Box<dyn Error>> {
    let mut linker = Linker::new(module.engine());
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut host: Host<'_>, level: i32, at: i32, length: i32| -> Result32 {
            let line = String::from_utf8_lossy(&read(&host, at, length)?).into_owned();
            host.data_mut().log.push(format!("{level} {line}"));
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut host: Host<'_>, at: i32| -> Result32 {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or_default();
            write(&mut host, at, &nanoseconds.to_le_bytes())?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut host: Host<'_>, kind: i32, start: i32, most: i32, data: i32, size: i32| -> Result32 {
            let setup = &host.data().setup;
            let bytes = match kind {
                VM_CONFIGURATION => setup.vm_configuration.clone(),
                PLUGIN_CONFIGURATION => setup.configuration.clone(),
                _ => return Ok(BAD_ARGUMENT),
            };
            let most =
                usize::try_from(u32::from_ne_bytes(most.to_ne_bytes())).unwrap_or(usize::MAX);
            let bytes = &bytes.as_bytes()[..bytes.len().min(most)];
            // WasmX looks at the offset for overflow only; and gives nothing for nothing.
            match (start, bytes) {
                (_, []) => Ok(OK),
                (0, bytes) => give(&mut host, bytes, data, size),
                _ => trap("an offset is not faked"),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut host: Host<'_>, map: i32, data: i32, size: i32| -> Result32 {
            let state = host.data();
            let (REQUEST_HEADERS, Some(request)) = (map, &state.request) else {
                return Ok(BAD_ARGUMENT);
            };
            let elements = state.elements.iter().filter(|element| element.is_hashed);
            let elements = elements.map(|element| (element.name.clone(), element.value.clone()));
            let pairs: Fields = request
                .pseudo
                .iter()
                .cloned()
                .chain(elements)
                .take(SHOWN_FIELDS)
                .collect();
            give(&mut host, &marshalled(&pairs), data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |mut host: Host<'_>, map: i32, at: i32, length: i32| -> Result32 {
            let Some(pairs) = unmarshalled(&read(&host, at, length)?) else {
                return trap("no pairs");
            };
            if map != REQUEST_HEADERS {
                return Ok(BAD_ARGUMENT);
            }
            let elements = &mut host.data_mut().elements;
            elements
                .iter_mut()
                .for_each(|element| element.is_hashed = false);
            for (name, value) in pairs {
                // The first that is read-only ends it, and that is no error.
                if name == b":authority" || name == b":scheme" {
                    break;
                }
                elements.push(Element {
                    name,
                    value,
                    is_hashed: true,
                });
            }
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut host: Host<'_>, at: i32, length: i32, data: i32, size: i32| -> Result32 {
            let path = read(&host, at, length)?;
            let path = String::from_utf8_lossy(&path).replace('\0', ".");
            let state = host.data();
            // `plugin_name` outside of a request reads a context that is not there yet.
            let Some(request) = &state.request else {
                return if path.contains('.') {
                    Ok(INTERNAL_FAILURE)
                } else {
                    trap("the worker crashes")
                };
            };
            let variable = match path.as_str() {
                "request.path" => "request_uri",
                "source.address" => "remote_addr",
                "connection.id" => "connection",
                "connection.tls_version" => "ssl_protocol",
                "connection.requested_server_name" => "ssl_server_name",
                other => other.strip_prefix("ngx.").unwrap_or_default(),
            };
            let set = state.set.get(variable);
            match set.or_else(|| request.variables.get(variable)).cloned() {
                Some(value) => give(&mut host, &value, data, size),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut host: Host<'_>, at: i32, length: i32, data: i32, size: i32| -> Result32 {
            let path = read(&host, at, length)?;
            let path = String::from_utf8_lossy(&path).replace('\0', ".");
            let value = read(&host, data, size)?;
            let state = host.data_mut();
            let Some(name) = path.strip_prefix("ngx.") else {
                return Ok(NOT_FOUND);
            };
            let Some(request) = &state.request else {
                return Ok(INTERNAL_FAILURE);
            };
            if request.changeable.contains(name) {
                state.set.insert(name.to_owned(), value);
                Ok(OK)
            } else if request.variables.contains_key(name) {
                Ok(INTERNAL_FAILURE)
            } else {
                Ok(NOT_FOUND)
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut host: Host<'_>,
         status: i32,
         _reason: i32,
         _reason_length: i32,
         body: i32,
         body_length: i32,
         headers: i32,
         headers_length: i32,
         _grpc: i32|
         -> Result32 {
            let mut body = read(&host, body, body_length)?;
            let Some(headers) = unmarshalled(&read(&host, headers, headers_length)?) else {
                return trap("no pairs");
            };
            if host.data().answer.is_some() {
                return trap("local response already stashed");
            }
            // WasmX ends a body with a line feed of its own.
            if !body.is_empty() {
                body.push(b'\n');
            }
            let status = u16::try_from(status).unwrap_or_default();
            host.data_mut().answer = Some((status, headers, body));
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut host: Host<'_>, _kind: i32, at: i32, length: i32, id: i32| -> Result32 {
            let name = String::from_utf8_lossy(&read(&host, at, length)?).into_owned();
            let metrics = &mut host.data_mut().metrics;
            let known = metrics.iter().position(|(other, _)| *other == name);
            let index = known.unwrap_or_else(|| {
                metrics.push((name, 0));
                metrics.len() - 1
            });
            write_number(&mut host, id, index + 1)?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |mut host: Host<'_>, id: i32, amount: i64| -> Result32 {
            let index = usize::try_from(id - 1).unwrap_or(usize::MAX);
            match host.data_mut().metrics.get_mut(index) {
                Some((_, value)) => {
                    *value += amount;
                    Ok(OK)
                }
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut host: Host<'_>, count: i32, size: i32| -> Result32 {
            let environment = &host.data().setup.environment;
            let bytes = environment
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum();
            let variables = environment.len();
            write_number(&mut host, count, variables)?;
            write_number(&mut host, size, bytes)?;
            Ok(0)
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_get",
        |mut host: Host<'_>, pointers: i32, buffer: i32| -> Result32 {
            let (mut pointer, mut at) = (pointers, buffer);
            for (name, value) in host.data().setup.environment.clone() {
                let text = format!("{name}={value}\0");
                write(&mut host, pointer, &at.to_le_bytes())?;
                write(&mut host, at, text.as_bytes())?;
                pointer += 4;
                at += i32::try_from(text.len()).unwrap_or_default();
            }
            Ok(0)
        },
    )?;
    for import in module.imports() {
        let (from, name) = (import.module().to_owned(), import.name().to_owned());
        let is_there = match from.as_str() {
            "env" => HOST_FUNCTIONS.contains(&name.as_str()),
            WASI => WASI_FUNCTIONS.contains(&name.as_str()),
            _ => false,
        };
        let Some(ty) = import.ty().func().filter(|_| is_there) else {
            return Err(format!("NGINX does not start: no host function {from}.{name}").into());
        };
        let ty = ty.clone();
        let not_faked = format!("{name} is not faked");
        // One that is defined above stays.
        let _ = linker.func_new(&from, &name, ty, move |_, _, _| trap(&not_faked));
    }
    Ok(linker)
}
