"""What the audit knows of names by heart: first names that are one name, and mailboxes that are nobody's.

Data only, written from general knowledge, diacritics folded. What does not live here: what follows from it (`audit`).
"""

from __future__ import annotations

import re
from collections import defaultdict

# Parts before the @ that name a desk, not a person: letters only, diacritics folded.
_DESKS_TEXT = """
info office admin administrator sales mail email contact support service services helpdesk hello help team staff
billing invoice invoices account accounts accounting finance payroll reception frontdesk marketing jobs careers orders
order purchasing noreply donotreply postmaster webmaster hostmaster abuse root user test guest scan scanner printer
copier backup alerts news newsletter enquiries inquiries general main company management security privacy legal
kontakt buro buero post vertrieb verkauf einkauf buchhaltung rechnung rechnungen empfang zentrale verwaltung
personal bewerbung technik service werkstatt lager accueil compta comptabilite commercial direction secretariat
bonjour facturation contacto ventas administracion compras facturas recepcion kundeservice kundservice salg faktura
ekonomi lonn biuro sekretariat ksiegowosc kadry sprzedaz faktury zamowienia amministrazione vendite ordini segreteria
acquisti contabilita contatti
"""
DESKS = frozenset(_DESKS_TEXT.split())

# First names that are one name: a group between slashes or lines.
# A name may stand in several. Those alone in theirs are here to be known as spelt right: Dean is no slip of Sean.
_NAMES_TEXT = """
robert rob bob bobby robbie bert / william bill will billy willy willie liam / richard rick dick rich ricky richie
james jim jimmy jamie / john johnny jack jon / jonathan jon jonny johnny nathan / joseph joe joey jozef jozek josef
thomas tom tommy thom / charles charlie chuck chas / edward ed eddie eddy ted ned teddy / edmund ed eddie
edwin ed eddie / daniel dan danny / michael mike mick mickey mikey michi micha / david dave davey / matthew matt
andrew andy drew / anthony tony antony / christopher chris kit topher / christian chris kristian kris
nicholas nick nicky nicolas nico / peter pete / patrick pat / stephen steven steve stevie
patricia pat patty patti trish tricia / benjamin ben benny benji / samuel sam sammy / samantha sam sammy
alexander alex al alec sandy sasha sascha xander / alexandra alex sandra sandy sasha lexi
frederick fred freddy freddie frederic / francis frank fran / franklin frank / gregory greg
geoffrey geoff jeff jeffrey / gerald gerry jerry gerard / jeremy jerry / harold harry hal / henry harry hank hal
lawrence laurence larry laurie / leonard leo len lenny / raymond ray / ronald ron ronnie / donald don donnie
douglas doug / kenneth ken kenny / kevin kev / timothy tim timmy / theodore ted teddy theo / walter walt wally
albert al bert / alfred al fred alf / arthur art / philip phil phillip filip philipp / vincent vince vinny
victor vic viktor / zachary zach zac zack / joshua josh / jacob jake jakob jakub kuba
nathaniel nathan nate nat / gabriel gabe / dominic dom nick dominick / eugene gene / stanley stan
terence terry terrence
russell russ / mitchell mitch / bradley brad / clifford cliff / eric erik erich / mark marc / brian bryan
alan allan allen / sean shaun shawn
aaron aron / luke lucas lukas luca / ralph ralf / kurt curt
elizabeth elisabeth liz lizzie beth betty betsy eliza libby lisa / susan sue suzy susie / deborah deb debbie debra
katherine catherine kathryn katharine kate kathy cathy kat katie kit kitty
margaret maggie meg peggy marge peg margot / rebecca becky becca / jennifer jen jenny jenn / jessica jess jessie
victoria vicky vicki tori / amanda mandy / christina chris tina chrissy kristina
christine chris chrissy kristine tina / barbara barb babs barbie babsi / cynthia cindy / dorothy dot dottie dolly
eleanor ellie nell nora / abigail abby gail / angela angie / ann anne annie nan nancy anna / frances fran franny
gabrielle gabby / isabella isabel isabelle bella izzy isa / jacqueline jackie / judith judy jude / janet jan
kimberly kim / laura laurie / lillian lily lil / madeleine maddie madeline / melissa mel missy / melanie mel
maria marie mary molly polly / michelle shelly / natalie nat nathalie / nicole nicky nikki / olivia liv / pamela pam
penelope penny / roberta bobbie robbie / rosemary rose rosie / sandra sandy / sarah sara sally sadie / valerie val
stephanie steph stefanie steffi / teresa theresa terry tess tessa / veronica ronnie / virginia ginny
helen nell ellen / josephine jo josie / joanne joanna jo / charlotte lottie lotte lotta charlie
caroline carrie caro carolin / gwendolyn gwen / harriet hattie / emily em / martha marta / erica erika / clara klara
carla karla / sonja sonia sonya / johannes hans hannes johann jan johan / josef joseph sepp jupp / ludwig lutz
heinrich heinz heiner henrik henry / friedrich fritz frieder fred / wilhelm willi willy wim william / karl carl kalle
maximilian max maxi / anton toni tony / katharina kathi katja kati kathrin katrin kathe kate
elisabeth elsa else liesl sissi bettina lisbeth betti / margarete margarethe grete gretel margret greta gretchen
magdalena lena leni magda / helena helene lena leni hella / sebastian basti bastian seb
matthias mathias matze mats matt / stefan stephan steffen steve / andreas andi andy / georg jorg joerg schorsch george
jurgen juergen / gunther gunter guenther guenter / christoph chris kristof / michael michel michi / ulrich uli ulli
ulrike uli ulli rike / joachim jochen achim / nikolaus klaus claus niklas nico / rudolf rudi rolf
siegfried sigi siggi / susanne susi sanne susanna / gabriele gabi gaby / brigitte gitte gitta biggi
ursula uschi ursel ulla / hildegard hilde / angelika geli angie / theresia resi / veronika vroni / dorothea doro thea
eduard edi / manfred manni / reinhard reiner rainer / wolfgang wolf wolfi / bernhard bernd bernard / benedikt bene
tobias tobi / dominik domi dominique / florian flo flori / ferdinand ferdi / julia julie / philippe phil
antoine toine / benoit ben / christophe chris / emmanuel manu / emmanuelle manu / jacques jacky / jean
francois fanfan / sebastien seb / stephane steph / xavier xav xavi / veronique vero / catherine cathy
mathieu matthieu / marguerite margot / maxime max / alexandre alex / laurent lolo / dominique dom domi / louis loulou
pierre pierrot / jose pepe pepito chepe / josefa pepa pepita / francisco paco pancho curro fran kiko
francisca paca paquita fran / ignacio nacho / jesus chus chuy suso / guadalupe lupe lupita / dolores lola
concepcion concha conchita conchi / enrique quique kike / eduardo edu lalo / antonio tono toni tony
manuel manolo manu / manuela manoli / mercedes merche / rosario charo / pilar pili / isabel isa chabela
alberto beto berto / roberto beto rober berto / guillermo guille memo / fernando fer nando / alejandro alex ale jandro
alejandra alex ale / luis lucho / rafael rafa / gregorio goyo / santiago santi / vicente chente / javier javi
montserrat montse / consuelo chelo / juan juanito juancho / lars lasse / nils nisse niels / per pelle peder peter
magnus mans / fredrik fredde frederik fred / mikael micke mikkel / gustav gosta gustaf / olof olle ole olav
margareta greta maggan / birgitta gitta britta / katarina karin kajsa kaja / kristoffer kris
kristina stina tina kicki / henrik henke / torbjorn tobbe / ulf uffe / leif leffe / johan jan
aleksander aleks sander / susanne sussi / anders / bjorn / erling / sven svein / ingrid inger / kirsten kirstin
aleksander olek alek / aleksandra ola / katarzyna kasia kaska / malgorzata gosia malgosia / agnieszka aga
joanna asia / jan janek jas / stanislaw staszek / wojciech wojtek / krzysztof krzysiek krzys / grzegorz grzesiek grzes
tomasz tomek / piotr piotrek / andrzej jedrek / jerzy jurek / maciej maciek / mateusz mati
przemyslaw przemek / slawomir slawek / tadeusz tadek / zbigniew zbyszek / kazimierz kazik / ryszard rysiek rysio
wladyslaw wladek / anna ania anka / barbara basia / elzbieta ela elka / magdalena magda madzia / maria marysia
zofia zosia / danuta danka / hanna hania hannah / krystyna krysia / urszula ula / pawel / michal / lukasz / marcin
giuseppe beppe peppe pino peppino / giuseppina pina / giovanni gianni vanni nanni / francesco franco ciccio checco
antonio tonino nino / luigi gigi / vincenzo enzo / lorenzo enzo renzo / salvatore toto salvo turi / domenico mimmo
alessandro sandro ale alex / alessandra sandra ale / raffaele lele / gabriele lele / emanuele lele manu
federico fede / federica fede / filippo pippo / margherita rita / elisabetta betta elisa betty / caterina rina cate
leonardo leo nardo / riccardo ricky / tommaso maso tommy / valentina vale / daniele dani / daniela dani
ludovico vico / bartolomeo meo / ian / amy / may / mia / lea leah / dean / joan / jane / ryan / lina / nina / gina
dana / lara / tara / mara / maya maja / noah / finn / emma / ella / lucy / ruth / hugo / ivan / olga / inga / ines
iris / ida / eva eve ewa / ava / adam / axel / cora / dora / doris / dirk / jana / jens / jonas / kai kay / kira
linda / martin / martina / mario / marco / marina / marcus markus / mira / olaf / oliver / otto / paul / paula / petra
rosa / silke / tanja tania / timo / todd / uwe / vera / wanda / yves / leon / levi / eli / roy / guy / gary
glen glenn / neil / nigel / hana
"""


def _read_names(text: str) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = defaultdict(set)
    for number, group in enumerate(re.split(r"[/\n]", text.strip())):
        for name in group.split():
            groups[name].add(number)
    return {name: frozenset(numbers) for name, numbers in groups.items()}


NAMES = _read_names(_NAMES_TEXT)
