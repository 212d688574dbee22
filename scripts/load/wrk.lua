-- The three endpoints for wrk; see README.md beside this file.
--
--     CORPUS=corpus.jsonl wrk -t2 -c64 -d30s --latency -s scripts/load/wrk.lua http://127.0.0.1:8080
--
-- wrk runs this file once per thread. A thread cannot tell which request an answer belongs to, so a
-- body is compared with every result of the corpus: it must be one of them, or be a packed chain.

local first_line = os.getenv("TEAM") or "TEAMID,000000000000"
local targets, results = {}, {}

-- The value of a string member; enough JSON for what make-corpus writes.
local function member(line, name)
  local _, at = line:find('"' .. name .. '":"', 1, true)
  if not at then return nil end
  local out, i = {}, at + 1
  local escapes = { n = "\n", t = "\t", r = "\r", b = "\b", f = "\f" }
  while true do
    local c = line:sub(i, i)
    if c == '"' or c == "" then return table.concat(out) end
    if c == "\\" then
      i = i + 1
      c = line:sub(i, i)
      if c == "u" then -- only control characters are written this way
        c = string.char(tonumber(line:sub(i + 1, i + 4), 16))
        i = i + 4
      else
        c = escapes[c] or c
      end
    end
    out[#out + 1] = c
    i = i + 1
  end
end

local threads = {}

function setup(thread)
  thread:set("seed", #threads + 1)
  table.insert(threads, thread)
end

function init()
  wrong, answered = 0, 0
  local path = os.getenv("CORPUS") or error("set CORPUS to a file that scripts/make-corpus wrote")
  for line in io.lines(path) do
    if line:find('"method":"GET"', 1, true) then
      targets[#targets + 1] = member(line, "target")
      local result = member(line, "result")
      if result then results[first_line .. "\n" .. result] = true end
    end
  end
  math.randomseed(seed)
end

function request()
  return wrk.format("GET", targets[math.random(#targets)])
end

function response(status, _, body)
  answered = answered + 1
  local known = results[body]
  -- a packed chain, a token, or a matrix whose message only decoding tells
  local plausible = body:sub(1, #first_line + 1) == first_line .. "\n"
    and body:find("^[%w%-_=]+$", #first_line + 2)
  if status ~= 200 or not (known or plausible) then wrong = wrong + 1 end
end

function done()
  local all, bad = 0, 0
  for _, thread in ipairs(threads) do
    all, bad = all + thread:get("answered"), bad + thread:get("wrong")
  end
  io.write(string.format("answers: %d, wrong: %d\n", all, bad))
end
