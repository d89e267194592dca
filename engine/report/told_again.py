"""The Chinese for sentences that manifests and validation reports hold, recognised by their form.

Names, numbers and cities stand in ``{places}``, whose own text is looked up again: a list in brackets, a kind of
error. The first form that fits is taken, so the loosest stands last.
"""

from __future__ import annotations

TOLD_AGAIN = {
    # Counts and names
    "all pairs of {count} units": "{count} 个城市的全部城市对",
    "synchronization of {series}": "{series} 的同步性",
    "variation of {series}": "{series} 的变异系数",
    "high in {split}": "{split} 分组：高",
    "mixed in {split}": "{split} 分组：混合",
    "low in {split}": "{split} 分组：低",
    # Cities that left
    "{left} of {read} cities were dropped: {a}; {b}; {c} and {more} more": "{read} 个城市中有 {left} 个被剔除：{a}；"
    "{b}；{c}；另有 {more} 个",
    "{left} of {read} cities were dropped: {a}; {b}; {c}": "{read} 个城市中有 {left} 个被剔除：{a}；{b}；{c}",
    "{left} of {read} cities were dropped: {a}; {b}": "{read} 个城市中有 {left} 个被剔除：{a}；{b}",
    "{left} of {read} cities were dropped: {a}": "{read} 个城市中有 {left} 个被剔除：{a}",
    "{city} ({column} missing in {years} (and {more} more column))": "{city}（{column} 缺 {years} 年，另有 {more} 列"
    "缺失）",
    "{city} ({column} missing in {years} (and {more} more columns))": "{city}（{column} 缺 {years} 年，另有 {more} "
    "列缺失）",
    "{city} ({column} missing in {years})": "{city}（{column} 缺 {years} 年）",
    "{column} missing in {years} (and {more} more column)": "{column} 缺 {years} 年，另有 {more} 列缺失",
    "{column} missing in {years} (and {more} more columns)": "{column} 缺 {years} 年，另有 {more} 列缺失",
    "{column} missing in {years}": "{column} 缺 {years} 年",
    # What the data look like
    "{name} does not vary over time in any city": "{name} 在任何城市都不随时间变化",
    "{name} does not vary over time in {cities}": "{name} 在{cities}不随时间变化",
    "{name} is the same in every city": "{name} 在各城市相同",
    "{name} has identical series in {groups}: their synchronization in it is infinite": "{name} 在{groups}中序列完全"
    "相同：其同步性为无穷大",
    "{count} groups of cities ({names})": " {count} 组城市（{names}）",
    "{count} group of cities ({names})": " {count} 组城市（{names}）",
    "{count} cities ({names})": " {count} 个城市（{names}）",
    "{count} city ({names})": " {count} 个城市（{names}）",
    "{name} changes by more than a factor of {jump} within a year {count} times, first in {city} from {before} in "
    "{year} to {after} in {next}: is the unit the same?": "{name} 有 {count} 次在一年内变动超过 {jump} 倍，首例为"
    "{city}，由 {year} 年的 {before} 变为 {next} 年的 {after}：单位是否一致？",
    "{name} changes by more than a factor of {jump} within a year {count} time, first in {city} from {before} in "
    "{year} to {after} in {next}: is the unit the same?": "{name} 有 {count} 次在一年内变动超过 {jump} 倍，即{city}"
    "，由 {year} 年的 {before} 变为 {next} 年的 {after}：单位是否一致？",
    "{count} rows without city and year were passed over": "略去 {count} 行没有城市和年份的数据",
    # Rows of a pair table that leave
    "{count} rows without units and year passed over": "略去 {count} 行没有单位和年份的数据",
    "{count} row without units and year passed over": "略去 {count} 行没有单位和年份的数据",
    "{count} of {total} rows have an infinite or undefined outcome '{outcome}' (as the logarithm of zero is), the "
    "first of them row {row}, and are left out": "{total} 行中有 {count} 行的结果 '{outcome}' 为无穷大或无定义（如零的"
    "对数），首例为第 {row} 行，已略去",
    "{count} of {total} rows have no row of the same pair {lag} years before and are left out, since model.lag is "
    "{same}": "{total} 行中有 {count} 行的同一配对没有 {lag} 年之前的数据（model.lag 为 {same}），已略去",
    "{count} of {total} rows have no row of the same pair {lag} year before and are left out, since model.lag is "
    "{same}": "{total} 行中有 {count} 行的同一配对没有 {lag} 年之前的数据（model.lag 为 {same}），已略去",
    "{count} of {total} rows have no '{column}', which {key} names, and are left out": "{total} 行中有 {count} 行没有"
    " {key} 所列的 '{column}'，已略去",
    "{count} of {total} rows have weight zero and are left out": "{total} 行中有 {count} 行权重为零，已略去",
    # How names, years and missing values were read
    "{source}: spellings in {what} that were normalised: {count} ({spellings})": "{source}：{what}中 {count} 种写法已"
    "规范化（{spellings}）",
    "{source}: spellings in {what} that were merged: {count} ({spellings})": "{source}：{what}中 {count} 种写法已合并"
    "（{spellings}）",
    "{source}: {what} that are spelled nearly alike and count as different: {groups}; if they are the same, spell "
    "them alike or set {key}": "{source}：{what}中写法相近而按不同名称处理：{groups}；若实为同一名称，请统一写法或设置 "
    "{key}",
    "{source}: cities that are spelled nearly as in the panel but find no row of it: {groups}; spell them alike, or "
    "set {key}": "{source}：写法与面板相近而未能匹配的城市：{groups}；请统一写法或设置 {key}",
    "{source}: column '{column}' holds dates, of which the year is read: '{date}' as {year}": "{source}：列"
    " '{column}' 为日期，取其年份：'{date}' 读作 {year}",
    "column '{column}' is {code} in {count} of {rows} rows, first in row {row}, far from all other values: if that "
    "means missing, list it under panel.missing": "列 '{column}' 在 {rows} 行中有 {count} 行为 {code}（首见于行"
    " {row}），远离其他数值：若表示缺失，请列入 panel.missing",
    "column '{column}' is {code} in {count} of {rows} rows, first in row {row}, far from all other values: if that "
    "means missing, list it under pair_table.missing": "列 '{column}' 在 {rows} 行中有 {count} 行为 {code}（首见于行"
    " {row}），远离其他数值：若表示缺失，请列入 pair_table.missing",
    "{name} of {city} is {year}, more than {far} years from the sample ({count} such in all): is it mistyped?": ""
    "{city}的 {name} 为 {year}，距样本超过 {far} 年（共 {count} 处）：是否误写？",
    "labels in column '{column}'": "列 '{column}' 的标签",
    "column '{column}'": "列 '{column}'",
    "cities": "城市",
    "{name} reads column '{other}' of the file, not the canonical {same} ({text})": "{name} 读取的是文件中的列"
    " '{other}'，而不是规范列 {same}（{text}）",
    "{lost} of {size} city-years have no price level of their year or of {base}, so that deflated columns are "
    "missing there: {cities}": "{size} 个城市—年份中有 {lost} 个缺当年或 {base} 年的价格水平，平减后的列在该处缺失："
    "{cities}",
    "{name} is computed from {column} in current prices; if constant prices are meant, list {same} under "
    "panel.deflate.columns": "{name} 由现价的 {column} 计算；若应为不变价，请把 {same} 列入 panel.deflate.columns",
    "{file}: {count} rows have fewer cells than the header, first row {row} with {cells} of {columns}; what they lack "
    "is missing": "{file}：{count} 行的单元格少于表头，首见于第 {row} 行（{columns} 列中只有 {cells} 个）；"
    "所缺者按缺失处理",
    "{file}: the sheet '{sheet}' was read; the workbook also has {others} ({key} names another)": "{file}：读取的是"
    "工作表“{sheet}”；该文件还有 {others}（用 {key} 可另行指定）",
    "{file}: column '{name}' holds bytes that are no text and is left out": "{file}：列“{name}”的内容是字节而非文本，已"
    "略去",
    "{source}: {count} of its {read} cities are not in the panel: {cities}": "{source}：其 {read} 个城市中有"
    " {count} 个不在面板中：{cities}",
    "{source} ends in {end}, the sample in {last}: the years between have no row of it": "{source} 止于 {end} 年，样"
    "本止于 {last} 年：其间各年没有该表的数据",
    "standardised over the years {first} to {last} before the first adoption: results of other spans are "
    "recomputed from the data, not appended to these, and not comparable with them row by row": "按 {first} 至"
    " {last} 年中首次政策实施之前的年份标准化：换用其他年份区间时，结果由数据重新计算，不能接在本结果之后，也不能逐"
    "行比较",
    "standardised over the years {first} to {last}: results of other spans are recomputed from the data, not "
    "appended to these, and not comparable with them row by row": "按 {first} 至 {last} 年标准化：换用其他年份区间时"
    "，结果由数据重新计算，不能接在本结果之后，也不能逐行比较",
    "{one} and {other} are at one place (equal coordinates)": "{one}、{other} 坐标相同",
    # What became of errors, effects and draws
    "city: one city stands first, or second, in every pair: two-way errors need two "
    "clusters each way": "城市双向聚类：每个城市对都由同一城市作为第一（或第二）城市，双向聚类在两个方向上各需两个以"
    "上的类",
    "instrument: {note}": "工具变量：{note}",
    "city: the variance is negative for {terms}; negative eigenvalues of the covariance are set to zero, and the other "
    "terms keep their own variances": "城市双向聚类：{terms} 的方差为负，协方差矩阵的负特征值已置零，其余变量"
    "的方差不变",
    "dyadic: the variance is not positive for {terms}; the city sums without the subtraction are shown there, and "
    "there alone": "二元稳健：{terms} 的方差不为正，仅对其改为报告不作扣减的城市加总",
    "jackknife: {lost} leave-one-city-out samples do not identify {terms}; {count} leave-one-city-out samples did not "
    "converge to the tolerance": "刀切法：有 {lost} 个剔除一城的样本无法识别 {terms}；另有 {count} 个剔除一城的样本未能"
    "按容差收敛",
    "jackknife: {count} leave-one-city-out samples did not converge to the tolerance": "刀切法：有 {count} 个剔除一城的"
    "样本未能按容差收敛",
    "adopting cities in the sample: {count}; with fewer than four no kind of standard error is reliable, and stars are "
    "withheld; the studentised permutation test (inference.permutation) holds": "样本中实施政策的城市数：{count}；少于"
    "四个时，任何一种标准误都不可靠，不标星号；学生化置换检验（inference.permutation）仍然有效",
    "jackknife: {count} leave-one-city-out samples do not identify {terms}": "刀切法：有 {count} 个剔除一城的样本无"
    "法识别 {terms}",
    "fixed effects explain the outcome entirely (a constant one, say): no coefficient, no R2 within": "固定效应已完全"
    "解释被解释变量（例如为常数）：无系数可估，组内 R² 无定义",
    "regressors and fixed effects explain the outcome entirely: standard errors are zero, t undefined": "自变量与固定效"
    "应已完全解释被解释变量：标准误为零，t 值无定义",
    "no draws: the fit is exact, so there is no error to draw": "未作抽样：拟合完全精确，没有误差可抽",
    "{count} rows were alone in a level of {effects} and are left out": "{count} 个观测在 {effects} 的某一水平中仅此"
    "一个，已略去",
    "{effects} were not taken out to the tolerance: {error} of a column is left "
    "after {count} iterations": "{effects} 未能按容差消去：迭代 {count} 次后某列仍余 {error}",
    "permutation: all {ways} assignments were enumerated, so p-values are exact": "置换检验：已枚举全部 {ways} 种分"
    "配，p 值为精确值",
    "{count} permutations do not identify the regression and are left out": "{count} 次置换无法识别回归，已略去",
    "in {count} permutations the dyadic variance was not positive; city sums without the subtraction studentise "
    "them": "有 {count} 次置换的二元稳健方差不为正，其统计量改用不作扣减的城市加总",
    "{count} bootstrap draws do not identify '{term}' and are left out": "{count} 次自助抽样无法识别 '{term}'，已略"
    "去",
    "{kind} bootstrap: {lost} of {reps} draws ({share}%) have no city of some "
    "adoption cohort and are left out, so its errors and intervals hold given that "
    "every cohort is drawn; {year} (1 city) is missing from {count}": "{kind}：{reps} 次抽样中有 {lost} 次（{share}%"
    "）缺少某一批次的全部城市，已略去，因此其标准误与区间以每一批次都被抽到为条件；{year} 年批次（1 个城市）在"
    " {count} 次中缺失",
    "{kind} bootstrap: {lost} of {reps} draws ({share}%) have no city of some "
    "adoption cohort and are left out, so its errors and intervals hold given that "
    "every cohort is drawn; {year} ({size} cities) is missing from {count}": "{kind}：{reps} 次抽样中有 {lost} 次（"
    "{share}%）缺少某一批次的全部城市，已略去，因此其标准误与区间以每一批次都被抽到为条件；{year} 年批次（{size} 个"
    "城市）在 {count} 次中缺失",
    # Specification curves
    "the curve has no joint test: {reason}": "曲线没有联合检验：{reason}",
    "its cells differ in reps, seed or strata of inference.permutation": "各单元的 inference.permutation 中 reps、seed "
    "或 strata 不同",
    "its cells differ in their cities": "各单元的城市不同",
    "its cells differ in the strata of their cities, or in which of them have a gravity force": "各单元中城市的分层"
    "不同，或具有引力值的城市不同",
    "its cells date adoption in different orders of the cities": "各单元中各城市政策实施的先后次序不同",
    "its assignments are enumerated, and its cells differ in their cohorts": "分配方式为全部枚举，而各单元的批次不同",
    # What became of the code
    "the code of dyadid changed on disk during the run: run it again; none of its work is kept for that": "运行期间"
    "磁盘上的程序代码有改动：请重新运行；本次的结果不会留给下次使用",
    # A cell's name, or a split's, before any of these
    "{split}: {name}": "{split}: {name}",
}
