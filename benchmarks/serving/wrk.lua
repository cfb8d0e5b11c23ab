-- Sends the bodies of a file, one a line, one after the other: wrk -s wrk.lua URL -- FILE
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

local requests = {}
local last = 0

function init(arguments)
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"requests": %d, "duration_us": %d, "failed": %d}\n', summary.requests, summary.duration, failed))
end
