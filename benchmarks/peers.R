# Simulates one design by a package of R, for benchmarks/peers.py, and answers on standard output, a line a key:
#   Rscript --vanilla peers.R design=boin target=0.3 truth=0.05,0.25,0.5 skeleton=0.1,0.3,0.5 cohorts=10 size=3 trials=1000 seed=1
# It only calls the packages. Seconds are those of the simulation, without starting R and loading the package.

given <- do.call(rbind, strsplit(commandArgs(trailingOnly = TRUE), "=", fixed = TRUE))
given <- setNames(given[, 2], given[, 1])
numbers <- function(key) as.numeric(strsplit(given[[key]], ",", fixed = TRUE)[[1]])
answer <- function(...) cat(paste(..., sep = ","), "\n", sep = "")
digits <- function(x) format(x, digits = 17, trim = TRUE, scientific = FALSE)

design <- given[["design"]]
truth <- numbers("truth")
target <- numbers("target")
cohorts <- numbers("cohorts")
size <- numbers("size")
trials <- numbers("trials")
seed <- numbers("seed")

crm <- function(model) {
  oc <- dfcrm::crmsim(truth, numbers("skeleton"), target, cohorts * size, 1, nsim = trials, mcohort = size,
                      restrict = TRUE, count = FALSE, method = "bayes", model = model, seed = seed)
  c(0, oc$MTD)
}
# As the calendar's benchmark: Poisson accrual, four patients per window on average.
tite_crm <- function() {
  oc <- dfcrm::titesim(truth, numbers("skeleton"), target, cohorts * size, 1, nsim = trials, restrict = TRUE,
                       obswin = 1, rate = 4, accrual = "poisson", count = FALSE, seed = seed)
  c(0, oc$MTD)
}
calls <- list(
  "boin" = list("BOIN", function() {
    oc <- BOIN::get.oc(target, truth, cohorts, size, ntrial = trials, seed = seed)
    c(oc$percentstop, oc$selpercent) / 100
  }),
  "crm-power" = list("dfcrm", function() crm("empiric")),
  "crm-logistic" = list("dfcrm", function() crm("logistic")),
  "tite-crm" = list("dfcrm", tite_crm),
  "3+3" = list("escalation", function() {
    set.seed(seed)
    rules <- escalation::get_three_plus_three(num_doses = length(truth), allow_deescalate = FALSE)
    unname(escalation::prob_recommend(escalation::simulate_trials(rules, num_sims = trials, true_prob_tox = truth)))
  })
)

package <- calls[[design]][[1]]
answer("dosefind-peers", 1)
if (!suppressWarnings(suppressPackageStartupMessages(requireNamespace(package, quietly = TRUE)))) {
  answer("missing", package)
  quit(status = 0)
}
start <- proc.time()[["elapsed"]]
selected <- calls[[design]][[2]]()
seconds <- proc.time()[["elapsed"]] - start
answer("package", package, as.character(packageVersion(package)))
answer("R", as.character(getRversion()))
answer("trials", trials)
answer("seconds", digits(seconds))
answer("selected", paste(digits(selected), collapse = ","))
