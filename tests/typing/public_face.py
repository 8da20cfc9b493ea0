"""Uses the public face as a reader would; the type checker of the CI reads this file, nothing runs it."""

import dosefind as dsf

protocol: dsf.Protocol = dsf.load_protocol("configs/nct05962762.toml")
oc = dsf.compare(protocol)
best = oc["correct"].sel(design="boin").max()
table = dsf.BOIN(target=0.30).table(max_n=30)
rows: int = len(table)
lattice: dsf.Lattice = dsf.lattice(dsf.BOIN(target=0.30), n_doses=5, cohort_size=3, max_n=30)
under = lattice.under([[0.05, 0.15, 0.30, 0.45, 0.60]])
skeleton: tuple[float, ...] = dsf.skeleton(0.05, target=0.25, mtd_level=3, n_doses=5)
crm = dsf.CRM(skeleton=skeleton, target=0.25)
step: dsf.NextStep = dsf.decide(crm, "1NNN 2NNT")
level: int | None = step.level
three: dsf.ThreePlusThree = dsf.ThreePlusThree(six_at_mtd=True)
simulated = dsf.simulate(three, [[0.05, 0.15, 0.30]], n_trials=1000, seed=1)


def up(trial) -> int | None:
    return trial.level


rule = dsf.design_from_rule(up, choose=lambda trial: None, max_n=6)
paths = dsf.paths(protocol, "3+3", cohorts=2)
