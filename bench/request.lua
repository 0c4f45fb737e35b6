-- wrk's requests: METHOD PATH BODY TOKEN FIRST COUNT. A path that ends in "/" gets an id, FIRST to FIRST + COUNT - 1
-- in turn. Prints the results as JSON.
local threads = 0

function setup(thread)
  thread:set("index", threads)
  threads = threads + 1
end

function init(args)
  wrk.method = args[1]
  path, first, count = args[2], tonumber(args[5]), tonumber(args[6])
  if args[3] ~= "" then
    wrk.body = args[3]
    wrk.headers["Content-Type"] = "application/json"
  end
  wrk.headers["Authorization"] = "Bearer " .. args[4]
  number = index
  if path:sub(-1) ~= "/" then
    constant = wrk.format(nil, path)
  end
end

function request()
  if constant then
    return constant
  end
  local id = first + number % count
  number = number + 2
  return wrk.format(nil, path .. id)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
